#include "nn/layers/batch_norm.h"

#include <fmt/format.h>

#include "core/tensor/create.h"

namespace az::nn {

BatchNorm::BatchNorm(int64_t channels, const BatchNormOptions& options, int rank) : options_(options), rank_(rank) {
  if (channels < 1) fail("BatchNorm: {} channels", channels);
  add_parameter("weight", options.affine && options.scale ? full({channels}, options.zero_gamma ? 0 : 1) : Tensor(),
                ParameterKind::norm);
  add_parameter("bias", options.affine ? zeros({channels}) : Tensor(), ParameterKind::norm);
  add_buffer("running_mean", zeros({channels}));
  add_buffer("running_var", ones({channels}));
}

template <class Op, class... More> Tensor BatchNorm::normalise(Op op, const Tensor& x, const More&... more) const {
  if (x.rank() != rank_) fail("{} takes {} axes, got {}", describe(), rank_, az::describe(x));
  az::BatchNormOptions options{.training = training(), .momentum = options_.momentum, .eps = options_.eps};
  return op(x, parameter("weight"), parameter("bias"), buffer("running_mean"), buffer("running_var"), more..., options);
}

Tensor BatchNorm::forward(const Tensor& x) { return normalise(batch_norm, x); }

Tensor BatchNorm::then_relu(const Tensor& x) {
  return enter(x, [&] { return normalise(batch_norm_relu, x); });
}

Tensor BatchNorm::then_add_relu(const Tensor& x, const Tensor& residual) {
  return enter(x, [&] { return normalise(batch_norm_add_relu, x, residual); });
}

RunningNorm BatchNorm::running() const {
  return {parameter("weight"), parameter("bias"), buffer("running_mean"), buffer("running_var"), options_.eps};
}

std::string BatchNorm::describe() const {
  return fmt::format("BatchNorm{}d({})", rank_ == 2 ? 1 : 2, buffer("running_mean").numel());
}

}  // namespace az::nn
