#include "nn/layers/layer_norm.h"

#include <fmt/format.h>

#include "core/ops/norm.h"
#include "core/tensor/create.h"

namespace az::nn {

LayerNorm::LayerNorm(const Shape& sizes, const LayerNormOptions& options) : options_(config::checked("layer_norm", options)) {
  if (sizes.rank() < 1) fail("LayerNorm: no axis to normalise over");
  if (sizes.numel() == 1) fail("LayerNorm: a sample of one value becomes 0 whatever it is");
  add_parameter("weight", ones(sizes), ParameterKind::norm);
  add_parameter("bias", zeros(sizes), ParameterKind::norm);
}

Tensor LayerNorm::forward(const Tensor& x) { return layer_norm(x, parameter("weight"), parameter("bias"), options_.eps); }

std::string LayerNorm::describe() const { return fmt::format("LayerNorm({})", parameter("weight").shape().str()); }

}  // namespace az::nn
