#pragma once

#include "core/tensor.h"

namespace az {

// Height and width; one number stands for both.
struct Size2 {
  int64_t h, w;
  Size2(int64_t both) : h(both), w(both) {}
  Size2(int64_t height, int64_t width) : h(height), w(width) {}
};

struct Conv2dParams {
  Size2 stride = 1, padding = 0, dilation = 1;
  int64_t groups = 1;
};
struct Conv2dThen {
  Tensor scale = {};     // [o], of the weight's number type
  Tensor residual = {};  // of the result's shape and number type
  bool relu = false;
};
// x [n,c,h,w], weight [o,c/groups,kh,kw], bias [o] or undefined -> [n,o,h',w'],
// h' = (h + 2 padding - dilation (kh - 1) - 1) / stride + 1. One number type, or x and the result bf16, weight and bias f32.
// then: relu(scale * (conv2d without bias) + bias + residual), each where asked for; in one pass where no gradient is needed;
// below zero, that pass may give -1e-20 |y| for 0.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& params = {},
              const Conv2dThen& then = {});

}  // namespace az
