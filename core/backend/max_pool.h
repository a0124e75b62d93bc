#pragma once

#include "core/backend/backend.h"

namespace az {

// Max pooling of f32 and bf16 in any layout; y lies as x does, where that is in blocks of channels, else row-major. `indices`
// holds for each element of y the place in the window where it was found: a byte, or for windows of more than 256 a u32 in four
// bytes of them.
PoolResult max_pool(const Tensor& x, const Pool2dParams& params, const Shape& result);
Tensor max_pool_backward(const Tensor& g, const Tensor& indices, const TensorForm& x, const Pool2dParams& params);

}  // namespace az
