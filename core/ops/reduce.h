#pragma once

#include "core/autograd/sums.h"

// Reductions; sum is in core/autograd/sums.h.
namespace az {

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

}  // namespace az
