#pragma once

#include "core/tensor/tensor.h"

namespace az {

// What may follow a convolution in the same pass: relu(scale * (conv2d without bias) + bias + residual), each where asked for.
struct Conv2dThen {
  Tensor scale = {};     // [o], of the weight's number type
  Tensor residual = {};  // of the result's shape and number type
  bool relu = false;
};

}  // namespace az
