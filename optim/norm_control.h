#pragma once

#include "core/tensor/tensor.h"

// Norms, and what holds a weight's by other means than a projection: on whole tensors of f32 or f64, computed in a wider type,
// so that squares do not overflow.
namespace az::optim {

// ||x||, the same on any number of threads
double norm_of(const Tensor& x);
// w *= norm / ||w||; a weight of zeros stays, and any where norm is 0.
void set_norm(const Tensor& weight, double norm);
// <a, b> / (||a|| ||b||); NaN where one is zero.
double cosine_of(const Tensor& a, const Tensor& b);
struct StepLength {
  double lr, trust_ratio;
};
// weight += step, made lr trust_ratio ||weight|| long; made lr times as long where that is nothing, for weights of zeros, or
// where the step has no finite length.
void take_step(const Tensor& weight, const Tensor& step, const StepLength& length);

}  // namespace az::optim
