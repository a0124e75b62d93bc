#pragma once

#include "core/tensor.h"

// Norms, and what holds a weight's by other means than a projection: on whole tensors of f32 or f64, in double.
namespace az::optim {

// ||x||, the same on any number of threads
double norm_of(const Tensor& x);
// w *= norm / ||w||; a weight of zeros stays, and any where norm is 0.
void scale_to_norm(const Tensor& weight, double norm);
// A learning rate for a step that scale_step() will scale, and that is proportional to it: lr, or more where the gradient and the
// optimizer's mean of gradients (its momentum; undefined where there is none yet) are so small that rounding would take it away.
double lr_to_scale(double lr, const Tensor& weight, const Tensor& gradient, const Tensor& mean);
// Makes the step from `before` to `weight` one of length ratio ||before||, as it points; no step, or one from zeros, stays.
void scale_step(const Tensor& weight, const Tensor& before, double ratio);

}  // namespace az::optim
