#pragma once

#include "core/tensor.h"

// What holds a weight's norm by other means than a projection, on whole tensors of f32 or f64, in double.
namespace az::optim {

// ||w||
double norm_of(const Tensor& weight);
// w *= norm / ||w||; a weight of zeros stays.
void scale_to_norm(const Tensor& weight, double norm);
// Makes the step from `before` to `weight` one of length ratio ||before||, as it points; no step, or one from zeros, stays.
void scale_step(const Tensor& weight, const Tensor& before, double ratio);

}  // namespace az::optim
