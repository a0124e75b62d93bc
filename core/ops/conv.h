#pragma once

#include "core/backend/operands.h"
#include "core/kernels/params.h"

namespace az {

// x [n,c,h,w], weight [o,c/groups,kh,kw], bias [o] or undefined -> [n,o,h',w'],
// h' = (h + 2 padding - dilation (kh - 1) - 1) / stride + 1. One number type, or x and the result bf16, weight and bias f32.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& params = {});

// A convolution, the batch norm of its result, and what is to follow.
struct ConvNorm {
  Tensor weight, bias;  // as conv2d()'s
  Conv2dParams conv = {};
  NormTensors norm = {};  // as batch_norm()'s
  BatchNormParams params = {};
  Then then = {};
};
// Says whether conv2d_norm() runs as one convolution, of scale gamma / sqrt(var + eps) and bias (bias - mean) gamma / sqrt(var
// + eps) + beta. It does in evaluation, where no gradient is needed and these are finite. They are kept with the weight until
// something that they are made of changes.
bool is_one_pass(const Tensor& x, const ConvNorm& layer);
// Computes batch_norm(conv2d(x)), then what is to follow. In one pass, ReLU may give -1e-20 |y| instead of 0 below zero.
Tensor conv2d_norm(const Tensor& x, const ConvNorm& layer);

}  // namespace az
