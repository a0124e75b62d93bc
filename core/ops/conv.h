#pragma once

#include "core/backend/conv2d_then.h"
#include "core/kernels/params.h"

namespace az {

// x [n,c,h,w], weight [o,c/groups,kh,kw], bias [o] or undefined -> [n,o,h',w'],
// h' = (h + 2 padding - dilation (kh - 1) - 1) / stride + 1. One number type, or x and the result bf16, weight and bias f32.
// then: relu(scale * (conv2d without bias) + bias + residual), each where asked for; in one pass where no gradient is needed;
// below zero, that pass may give -1e-20 |y| for 0.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& params = {},
              const Conv2dThen& then = {});

}  // namespace az
