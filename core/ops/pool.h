#pragma once

#include "core/kernels/params.h"
#include "core/tensor/tensor.h"

namespace az {

Tensor max_pool2d(const Tensor& x, const Pool2dParams& params);  // [n,c,h,w] -> [n,c,h',w']; padding never wins, NaN does
Tensor avg_pool2d(const Tensor& x, const Pool2dParams& params);  // padding counts as zeros, as in PyTorch
Tensor global_avg_pool(const Tensor& x);                         // [n,c,h,w] -> [n,c], mean over h and w
// Option A's shortcut: every stride-th pixel of [n,c,h,w], channels padded with zeros to `channels`, (channels - c) / 2 of them
// in front.
struct SubsampleOptions {
  int64_t stride = 2, channels = 0;
};
Tensor subsample_pad(const Tensor& x, SubsampleOptions options);

}  // namespace az
