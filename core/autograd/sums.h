#pragma once

#include <vector>

#include "core/tensor/tensor.h"

// The ops that the engine itself is made of: gradients of one tensor are added up, and summed over the axes that an op
// broadcast.
namespace az {

Tensor add(const Tensor& a, const Tensor& b);  // a + b, over the shape that the two broadcast to

// Over `axes` (all of them when empty); the reduced axes are dropped, or kept with size 1 when keep_axes.
struct ReduceOptions {
  std::vector<int64_t> axes = {};
  bool keep_axes = false;
};
Tensor sum(const Tensor& x, const ReduceOptions& options = {});

// Sums over the axes that broadcasting `shape` to x's shape added or widened.
Tensor sum_to(const Tensor& x, const Shape& shape);
// Repeats size-1 and missing axes up to `shape`.
Tensor broadcast_to(const Tensor& x, const Shape& shape);

}  // namespace az
