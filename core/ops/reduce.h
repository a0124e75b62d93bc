#pragma once

#include "core/tensor.h"

// Over `axes` (all of them when empty); the reduced axes are dropped, or kept with size 1 when keep_axes.
namespace az {

struct ReduceOptions {
  std::vector<int64_t> axes = {};
  bool keep_axes = false;
};
Tensor sum(const Tensor& x, const ReduceOptions& options = {});
Tensor mean(const Tensor& x, const ReduceOptions& options = {});
Tensor max(const Tensor& x, const ReduceOptions& options = {});  // the gradient is shared equally among equal maxima
Tensor min(const Tensor& x, const ReduceOptions& options = {});
Tensor logsumexp(const Tensor& x, const ReduceOptions& options = {});  // log sum exp(x), without overflow
struct VarOptions {
  std::vector<int64_t> axes = {};
  bool keep_axes = false;
  int64_t correction = 1;  // divides by count - correction
};
Tensor var(const Tensor& x, const VarOptions& options = {});
Tensor norm(const Tensor& x, const ReduceOptions& options = {});  // sqrt(sum x^2); gradient 0 at 0
Tensor argmax(const Tensor& x, int64_t axis);                     // i64 index of the first maximum; the axis is dropped
struct TopK {
  Tensor values, indices;
};
TopK topk(const Tensor& x, int64_t k);  // the k largest of the last axis, descending; values differentiable, indices i64
struct CosineOptions {
  int64_t axis = -1;
  double eps = 1e-8;
};
// a.b / (max(|a|, eps) max(|b|, eps)) over one axis, which is dropped
Tensor cosine_similarity(const Tensor& a, const Tensor& b, CosineOptions options = {});

// Sums over the axes that broadcasting `shape` to x's shape added or widened.
Tensor sum_to(const Tensor& x, const Shape& shape);
// Repeats size-1 and missing axes up to `shape`.
Tensor broadcast_to(const Tensor& x, const Shape& shape);

}  // namespace az
