#pragma once

#include <algorithm>
#include <vector>

#include "core/kernels/reduce.h"
#include "core/tensor/tensor.h"

// Reductions of whole tensors. Nothing here is recorded for autograd.
namespace az {

// Accumulated values, each divided by `divisor` and then rounded, as a tensor.
template <class To, class Acc> Tensor filled(const Shape& shape, const std::vector<Acc>& values, Acc divisor = 1) {
  Tensor result = Tensor::empty(shape, dtype_of<To>);
  std::transform(values.begin(), values.end(), result.mutable_data<To>(), [=](Acc v) { return To(v / divisor); });
  return result;
}

// Sums are accumulated in f64 (floating types) or i64; those of floating types are divided by `divisor` before they are
// rounded.
Tensor sum_of(const Tensor& x, const Reduced& over, double divisor = 1);

}  // namespace az
