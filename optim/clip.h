#pragma once

#include <vector>

#include "core/tensor/parameter.h"

// Gradient clipping, before a step. Gradients are replaced by smaller ones, never changed in place.
namespace az::optim {

// Scales all gradients by max_norm / (norm + 1e-6) if that is below 1, norm being that of all gradients together (as
// torch.nn.utils.clip_grad_norm_). Returns the norm before, not finite when a gradient is not.
double clip_grad_norm(const std::vector<Parameter>& parameters, double max_norm);

// Clamps every element of every gradient into [-max_value, max_value].
void clip_grad_value(const std::vector<Parameter>& parameters, double max_value);

}  // namespace az::optim
