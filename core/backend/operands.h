#pragma once

#include "core/tensor/tensor.h"

// What convolutions and norms take beside their input.
namespace az {

// What follows an op in the same pass: relu(y + residual), each where asked for.
struct Then {
  Tensor residual = {};  // of the result's shape and number type
  bool relu = false;
};
// Throws, naming `op`, unless the residual, if there is one, has the result's shape and number type.
inline void check_residual(const char* op, const Shape& result, DType type, const Tensor& residual) {
  if (!residual.defined() || (residual.shape() == result && residual.dtype() == type)) return;
  fail("{}: {} is to be added to {} {}; give the shortcut layers that bring both to one shape and number type", op,
       describe(residual), name_of(type), result.str());
}

// A batch norm's, [c] each: gamma and beta scale and shift each channel (undefined: 1 and 0); mean and var are the running
// statistics. With activations in bf16 all are f32.
struct NormTensors {
  Tensor gamma = {}, beta = {}, mean = {}, var = {};
};

}  // namespace az
