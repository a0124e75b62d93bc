#pragma once

#include "core/backend/backend.h"

namespace az {

// f32 and bf16: convolutions by whichever of oneDNN's and our implementations is fastest (conv/), batch norm and max pooling by
// core/kernels, averages by oneDNN.
class Native final : public Backend {
 public:
  Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& scale, const Conv2dParams& params,
                const Then& then, const Shape& result) override;
  Tensor conv2d_backward_data(const Tensor& g, const Tensor& weight, const Conv2dParams& params, const Shape& x) override;
  ConvWeightGradients conv2d_backward_weights(const Tensor& g, const Tensor& x, const Shape& weight, bool with_bias,
                                              const Conv2dParams& params) override;
  BatchNormResult batch_norm(const Tensor& x, const NormTensors& norm, const BatchNormParams& params,
                             const Then& then) override;
  BatchNormGradients batch_norm_backward(const Tensor& g, const Tensor& more, const BatchNormForward& forward) override;
  PoolResult pool2d(Pool kind, const Tensor& x, const Pool2dParams& params, const Shape& result) override;
  Tensor pool2d_backward(Pool kind, const Tensor& g, const PoolResult& forward, const TensorForm& x,
                         const Pool2dParams& params) override;
};

}  // namespace az
