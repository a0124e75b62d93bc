#include "nn/layers/batch_norm.h"

#include <fmt/format.h>

#include "core/ops/create.h"
#include "core/ops/norm.h"

namespace az::nn {

BatchNorm::BatchNorm(int64_t channels, const BatchNormOptions& options, int rank) : options_(options), rank_(rank) {
  if (channels < 1) fail("BatchNorm: {} channels", channels);
  add_parameter("weight", options.affine && options.scale ? full({channels}, options.zero_gamma ? 0 : 1) : Tensor(),
                ParameterKind::norm);
  add_parameter("bias", options.affine ? zeros({channels}) : Tensor(), ParameterKind::norm);
  add_buffer("running_mean", zeros({channels}));
  add_buffer("running_var", ones({channels}));
}

Tensor BatchNorm::normalise(const Tensor& x, bool relu) const {
  if (x.rank() != rank_) fail("{} takes {} axes, got {}", describe(), rank_, az::describe(x));
  az::BatchNormOptions options{.training = training(), .momentum = options_.momentum, .eps = options_.eps};
  auto* op = relu ? batch_norm_relu : batch_norm;
  return op(x, parameter("weight"), parameter("bias"), buffer("running_mean"), buffer("running_var"), options);
}

Tensor BatchNorm::forward(const Tensor& x) { return normalise(x, false); }

Tensor BatchNorm::then_relu(const Tensor& x) {
  return enter(x, [&] { return normalise(x, true); });
}

std::string BatchNorm::describe() const {
  return fmt::format("BatchNorm{}d({})", rank_ == 2 ? 1 : 2, buffer("running_mean").numel());
}

}  // namespace az::nn
