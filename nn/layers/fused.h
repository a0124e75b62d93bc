#pragma once

#include <span>

#include "core/backend/operands.h"
#include "nn/module.h"

namespace az::nn {

// The plan of Sequential and Residual; a model that knows its layers, as the ResNets do, calls then_norm() itself. Whether a
// convolution and its norm are one pass is decided in core/ops/conv.h, is_one_pass().
//
// Runs the modules of `whole` one after the other, in as few passes over memory as they allow: a batch norm takes along the
// ReLU behind it or, where it is the last, what is to follow, of which nothing is left then; in evaluation it becomes part of
// the convolution before it, where no gradient is needed (ReLU says what that may give below zero). Gives the last module's
// pass. Modules of classes derived from these run by themselves, as they may have a forward of their own.
Pass run_fused(const Module& whole, std::span<Module* const> modules, const Tensor& x, Then& then);

}  // namespace az::nn
