#include "nn/layers/flatten.h"

#include "core/ops/shape.h"

namespace az::nn {

Tensor Flatten::forward(const Tensor& x) { return flatten(x); }

}  // namespace az::nn
