#pragma once

#include <span>

#include "core/backend/operands.h"
#include "nn/module.h"

namespace az::nn {

// Sequential and Residual run their modules by this; a model that knows its layers, as the ResNets do, calls then_norm()
// itself. is_one_pass() in core/ops/conv.h decides whether a convolution and its norm are one pass.
//
// Runs the modules of `whole` one after the other, in as few passes over memory as they allow. A batch norm takes along the
// ReLU behind it; where it is the last module it takes along `then`, of which nothing is left. In evaluation, where no gradient
// is needed, it becomes part of the convolution before it (ReLU says what that may give below zero). Returns the last module's
// pass. Modules of classes derived from these run by themselves, as they may have a forward of their own.
Pass run_fused(const Module& whole, std::span<Module* const> modules, const Tensor& x, Then& then);

}  // namespace az::nn
