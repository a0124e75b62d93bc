#pragma once

#include "core/backend/backend.h"

namespace az {

// Convolutions and averages by oneDNN (conv, pool), the rest by kernels of our own (max_pool, and Backend's batch norm); f32
// and bf16.
class OneDnn final : public Backend {
 public:
  Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& scale, const Conv2dParams& params,
                const Then& then, const Shape& result) override;
  Tensor conv2d_backward_data(const Tensor& g, const Tensor& weight, const Conv2dParams& params, const Shape& x) override;
  ConvWeightGradients conv2d_backward_weights(const Tensor& g, const Tensor& x, const Shape& weight, bool with_bias,
                                              const Conv2dParams& params) override;
  PoolResult pool2d(Pool kind, const Tensor& x, const Pool2dParams& params, const Shape& result) override;
  Tensor pool2d_backward(Pool kind, const Tensor& g, const PoolResult& forward, const TensorForm& x,
                         const Pool2dParams& params) override;
};

}  // namespace az
