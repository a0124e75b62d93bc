#pragma once

#include "core/backend/backend.h"

namespace az {

// Averages by oneDNN (pool), the rest as Backend has it; f32 and bf16.
class OneDnn final : public Backend {
 public:
  PoolResult pool2d(Pool kind, const Tensor& x, const Pool2dParams& params, const Shape& result) override;
  Tensor pool2d_backward(Pool kind, const Tensor& g, const PoolResult& forward, const TensorForm& x,
                         const Pool2dParams& params) override;
};

}  // namespace az
