#pragma once

#include "core/ops/conv.h"
#include "core/ops/norm.h"

namespace az {

// conv2d(), batch_norm() by running statistics, then + then.residual and ReLU, each where asked for; arguments as theirs. Where
// no gradient is needed it is one convolution, with scale gamma / sqrt(var + eps) and bias (bias - mean) gamma / sqrt(var +
// eps)
// + beta: those are kept with the weight until one of what they are made of changes.
Tensor conv2d_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& params,
                   const RunningNorm& norm, const Conv2dThen& then = {});

}  // namespace az
