#include "nn/layers/batch_norm.h"

#include <fmt/format.h>

#include "core/autograd/autograd.h"
#include "core/tensor/create.h"

namespace az::nn {

BatchNorm::BatchNorm(int64_t channels, const BatchNormOptions& options, int rank)
    : options_(config::checked("batch_norm", options)), rank_(rank) {
  if (channels < 1) fail("BatchNorm: {} channels", channels);
  add_parameter("weight", options.affine && options.scale ? full({channels}, options.zero_gamma ? 0 : 1) : Tensor(),
                ParameterKind::norm);
  add_parameter("bias", options.affine ? zeros({channels}) : Tensor(), ParameterKind::norm);
  add_buffer("running_mean", zeros({channels}));
  add_buffer("running_var", ones({channels}));
}

NormTensors BatchNorm::tensors() const {
  return {parameter("weight"), parameter("bias"), buffer("running_mean"), buffer("running_var")};
}

BatchNormParams BatchNorm::params() const {
  return {.training = training(), .momentum = options_.momentum, .eps = options_.eps};
}

Tensor BatchNorm::normalise(const Tensor& x, const Then& then) const {
  if (x.rank() != rank_) fail("{} takes {} axes, got {}", describe(), rank_, az::describe(x));
  return batch_norm(x, tensors(), params(), then);
}

Tensor BatchNorm::forward(const Tensor& x) { return normalise(x, {}); }

Tensor BatchNorm::shown(const Tensor& x, const Then& then, const Module* also) const {
  if (!(then.relu || then.residual.defined()) || !is_watched({this, also})) return {};
  const NoGrad no_grad;
  NormTensors now = tensors();
  if (training()) now.mean = now.var = {};  // so that they are left as they are
  return batch_norm(x, now, params());
}

Pass BatchNorm::then(const Tensor& x, const Then& then, const Module* also) {
  return enter(x, [&] { return Pass{normalise(x, then), shown(x, then, also), then.relu}; });
}

Pass BatchNorm::applied_then(const Pass& conv, const Then& then, const Module* also) {
  const Tensor& x = conv.own.defined() ? conv.own : conv.result;
  return enter(x, [&] { return Pass{conv.result, shown(x, then, also), then.relu}; });
}

std::string BatchNorm::describe() const {
  return fmt::format("BatchNorm{}d({})", rank_ == 2 ? 1 : 2, buffer("running_mean").numel());
}

}  // namespace az::nn
