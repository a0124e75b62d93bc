#include <algorithm>

#include "core/autograd/autograd.h"
#include "core/backend/backend.h"
#include "core/ops/elementwise.h"
#include "core/ops/norm.h"
#include "core/ops/reduce.h"
#include "core/tensor/create.h"

namespace az {
namespace {

// With activations in bf16, what belongs to the channels stays f32.
DType parameter_type(const Tensor& x) { return x.dtype() == DType::bf16 ? DType::f32 : x.dtype(); }

void check_batch_norm(const char* name, const Tensor& x, const NormTensors& norm, const Then& then, bool training) {
  const auto& [gamma, beta, mean, var] = norm;
  if (x.rank() != 2 && x.rank() != 4) fail("{}: input is [n,c] or [n,c,h,w], not {}", name, x.shape().str());
  const DType wanted = parameter_type(x);
  for (const Tensor* t : {&gamma, &beta, &mean, &var}) {
    if (!t->defined()) continue;
    if (t->shape() != Shape{x.size(1)}) {
      fail("{}: input {} has {} channels, a parameter or statistic is {}", name, x.shape().str(), x.size(1), t->shape().str());
    }
    if (t->dtype() != wanted) {
      fail("{}: input is {}, so gamma, beta and statistics are {}, not {}", name, name_of(x.dtype()), name_of(wanted),
           name_of(t->dtype()));
    }
  }
  check_residual(name, x.shape(), x.dtype(), then.residual);
  if (training && x.numel() / std::max<int64_t>(x.size(1), 1) < 2) {
    fail("{}: needs more than one value a channel to take statistics over, got input {}", name, x.shape().str());
  }
  if (!training && (!mean.defined() || !var.defined())) fail("{}: evaluation needs running statistics", name);
}

// running = (1 - momentum) running + momentum batch; the variance of `count` values made unbiased first.
template <class T> void update_running(const Tensor& running, const Tensor& batch, double momentum, double factor) {
  T* r = running.mutable_data<T>();
  const double* b = batch.data<double>();
  for (int64_t i = 0; i < running.numel(); ++i) r[i] = T((1 - momentum) * double(r[i]) + momentum * factor * b[i]);
}

void update_running(const Tensor& running, const Tensor& batch, double momentum, double factor) {
  if (!running.defined()) return;
  if (running.dtype() == DType::f64)
    update_running<double>(running, batch, momentum, factor);
  else
    update_running<float>(running, batch, momentum, factor);
}

// The gradients by constant statistics, made of ops: dbeta = sum g, dgamma = sum g xhat, dx = g gamma / sqrt(var + eps) and
// dresidual = g, where g is what passes the ReLU.
Grads by_constant_statistics(const Back& k, const BatchNormForward& forward) {
  const DType type = forward.norm.gamma.dtype();
  auto channels = [&](const Tensor& t) { return t.to(type).reshape({1, -1, 1, 1}); };
  const Tensor gamma = channels(forward.norm.gamma), rstd = channels(pow(forward.norm.var + forward.params.eps, -0.5));
  const Tensor xhat = (forward.x.to(type) - channels(forward.norm.mean)) * rstd, zero = zeros({}, type);
  Tensor g = k.g.to(type);
  if (forward.relu) {
    const Tensor y = forward.y.defined() ? forward.y.to(type) : xhat * gamma + channels(forward.norm.beta);
    g = where(greater(y, zero), g, zero);
  }
  const std::vector<int64_t> pixels{0, 2, 3};
  return {(g * (gamma * rstd)).to(k.g.dtype()), sum(g * xhat, {pixels}), sum(g, {pixels}), g.to(k.g.dtype())};
}

const char* full_name(const Then& then) {
  if (then.residual.defined()) return then.relu ? "batch_norm_add_relu" : "batch_norm_add";
  return then.relu ? "batch_norm_relu" : "batch_norm";
}

}  // namespace

Tensor batch_norm(const Tensor& x, const NormTensors& given, const BatchNormParams& params, const Then& then) {
  const char* name = full_name(then);
  Backend& backend = backend_for(x.dtype(), name);
  check_batch_norm(name, x, given, then, params.training);
  if (x.rank() == 2) {
    auto image = [](const Tensor& t) { return t.defined() ? t.reshape({t.size(0), t.size(1), 1, 1}) : t; };
    return batch_norm(image(x), given, params, {image(then.residual), then.relu}).reshape({x.size(0), x.size(1)});
  }
  NormTensors norm = given;
  if (!norm.gamma.defined()) norm.gamma = ones({x.size(1)}, parameter_type(x));
  if (!norm.beta.defined()) norm.beta = zeros({x.size(1)}, parameter_type(x));
  const std::vector<Tensor> inputs{x, norm.gamma, norm.beta, then.residual};
  BatchNormResult r = backend.batch_norm(x, norm, params, then);
  if (params.training) {
    double count = double(x.numel() / x.size(1));
    update_running(norm.mean, r.mean, params.momentum, 1);
    update_running(norm.var, r.var, params.momentum, count / (count - 1));
  } else if (needs_grad(inputs)) {  // the running statistics may change before the gradient is taken
    r.mean = norm.mean.clone();
    r.var = norm.var.clone();
  }
  // The result tells what passed the ReLU; without a residual it is computed again from x, and without ReLU all passes.
  Saved kept = saved(x, norm.gamma, norm.beta, r.mean, r.var);
  const bool with_residual = then.residual.defined();
  if (with_residual && then.relu) kept = std::move(kept).and_result();
  auto gradient = [params, with_residual, relu = then.relu, &backend](const Back& k) {
    const BatchNormForward forward{k.saved[0], {k.saved[1], k.saved[2], k.saved[3], k.saved[4]}, params, with_residual, relu,
                                   k.result};
    if (GradMode::enabled()) return by_constant_statistics(k, forward);  // to be differentiated again
    auto d = backend.batch_norm_backward(k.g, k.g_more, forward);
    return Grads{d.x, d.gamma, d.beta, d.residual};
  };
  Homogeneity homogeneity{Homogeneity::Says::terms, {{}, {.axes = {1}}, {.term = 1, .axes = {1}}, {.term = 2}}, !then.relu};
  if (!params.training) return record(name, r.y, inputs, std::move(kept), ByOps{gradient}, homogeneity);
  homogeneity.inputs[0] = {.power = 0, .axes = {-1, 1, -1, -1}};
  return record(name, r.y, inputs, std::move(kept), ByKernel{gradient}.takes_parts(), homogeneity);
}

}  // namespace az
