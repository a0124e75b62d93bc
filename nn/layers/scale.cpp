#include "nn/layers/scale.h"

#include <fmt/format.h>

#include "core/ops/elementwise.h"

namespace az::nn {

Tensor Scale::forward(const Tensor& x) { return mul(x, options_.factor); }

std::string Scale::describe() const { return fmt::format("Scale({:.6g})", options_.factor); }

}  // namespace az::nn
