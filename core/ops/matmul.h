#pragma once

#include "core/tensor/tensor.h"

namespace az {

// [..,m,k] x [..,k,n] -> [..,m,n]; leading axes broadcast. Both at least 2 axes.
Tensor matmul(const Tensor& a, const Tensor& b);
// x [n,in], weight [out,in], bias [out] or undefined -> x weight^T + bias [n,out]
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias);

}  // namespace az
