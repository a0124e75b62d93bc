#pragma once

#include "core/backend/operands.h"
#include "core/kernels/params.h"

namespace az {

// x [n,c] or [n,c,h,w] -> (x - mean_c) / sqrt(var_c + eps) * gamma_c + beta_c, then what is to follow, in one pass. Training
// changes norm.mean and norm.var in place, where they are defined. With x and the result bf16, the norm's are f32.
Tensor batch_norm(const Tensor& x, const NormTensors& norm, const BatchNormParams& params = {}, const Then& then = {});

// x [n,c,...]; gamma and beta scale and shift each channel, [c] (undefined: 1 and 0; f32 with x bf16).
Tensor group_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const GroupNormParams& params);
// Over the last gamma.rank() axes (one when gamma and beta are undefined): x [..,d], gamma and beta [d].
Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps = 1e-5);

}  // namespace az
