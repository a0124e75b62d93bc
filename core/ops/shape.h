#pragma once

#include "core/tensor/tensor.h"

// Moves elements, computes nothing. Results are plain. reshape() is a member of Tensor.
namespace az {

Tensor permute(const Tensor& x, const std::vector<int64_t>& axes);  // result axis i is x's axis axes[i]
Tensor transpose(const Tensor& x);                                  // the last two axes swapped
Tensor flatten(const Tensor& x, int64_t from_axis = 1);             // [n,c,h,w] -> [n,c*h*w]
Tensor concat(const std::vector<Tensor>& parts, int64_t axis);
Tensor stack(const std::vector<Tensor>& parts, int64_t axis);
struct SliceOptions {
  int64_t axis = 0, begin = 0, end = INT64_MAX, step = 1;
};  // negative begin/end count from the back
Tensor slice(const Tensor& x, SliceOptions options);
struct PadOptions {
  std::vector<int64_t> before, after;
  double value = 0;
};  // one entry an axis
Tensor pad(const Tensor& x, const PadOptions& options);
Tensor index_select(const Tensor& x, const Tensor& indices, int64_t axis);  // indices i64 [k]
Tensor gather(const Tensor& x, const Tensor& indices, int64_t axis);        // result[i][j] = x[i][indices[i][j]] for axis 1

}  // namespace az
