#pragma once

#include "core/backend/backend.h"

// Average pooling of f32 and bf16, as Backend::pool2d, padding counted as zeros.
namespace az::onednn {

Tensor average_pool(const Tensor& x, const Pool2dParams& params, const Shape& result);
Tensor average_pool_backward(const Tensor& g, const TensorForm& x, const Pool2dParams& params);

}  // namespace az::onednn
