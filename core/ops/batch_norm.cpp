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

void check_batch_norm(const char* name, const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& mean,
                      const Tensor& var, bool training) {
  if (x.rank() != 2 && x.rank() != 4) fail("{}: input is [n,c] or [n,c,h,w], not {}", name, x.shape().str());
  const DType wanted = parameter_type(x);
  for (const Tensor& t : {gamma, beta, mean, var}) {
    if (!t.defined()) continue;
    if (t.shape() != Shape{x.size(1)}) {
      fail("{}: input {} has {} channels, a parameter or statistic is {}", name, x.shape().str(), x.size(1), t.shape().str());
    }
    if (t.dtype() != wanted) {
      fail("{}: input is {}, so gamma, beta and statistics are {}, not {}", name, name_of(x.dtype()), name_of(wanted),
           name_of(t.dtype()));
    }
  }
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

// What follows the normalisation in the same pass.
struct Then {
  bool relu = false;
  Tensor residual = {};
};

// The gradients by constant statistics, made of ops: dbeta = sum g, dgamma = sum g xhat, dx = g gamma / sqrt(var + eps) and
// dresidual = g, where g is what passes the ReLU.
Grads by_constant_statistics(const Back& k, const BatchNormParams& params) {
  const DType type = params.gamma.dtype();
  auto channels = [&](const Tensor& t) { return t.to(type).reshape({1, -1, 1, 1}); };
  const Tensor gamma = channels(params.gamma), rstd = channels(pow(k.saved[4] + params.eps, -0.5));
  const Tensor xhat = (k.saved[0].to(type) - channels(k.saved[3])) * rstd, zero = zeros({}, type);
  Tensor g = k.g.to(type);
  if (params.relu) {
    const Tensor y = k.result.defined() ? k.result.to(type) : xhat * gamma + channels(params.beta);
    g = where(greater(y, zero), g, zero);
  }
  const std::vector<int64_t> pixels{0, 2, 3};
  return {(g * (gamma * rstd)).to(k.g.dtype()), sum(g * xhat, {pixels}), sum(g, {pixels}), g.to(k.g.dtype())};
}

Tensor batch_norm_op(const char* name, const Tensor& x, const Tensor& given_gamma, const Tensor& given_beta,
                     const Tensor& running_mean, const Tensor& running_var, const BatchNormOptions& options,
                     const Then& then = {}) {
  Backend& backend = backend_for(x.dtype(), name);
  check_batch_norm(name, x, given_gamma, given_beta, running_mean, running_var, options.training);
  if (x.rank() == 2) {
    auto image = [](const Tensor& t) { return t.defined() ? t.reshape({t.size(0), t.size(1), 1, 1}) : t; };
    return batch_norm_op(name, image(x), given_gamma, given_beta, running_mean, running_var, options,
                         {then.relu, image(then.residual)})
        .reshape({x.size(0), x.size(1)});
  }
  Tensor gamma = given_gamma.defined() ? given_gamma : ones({x.size(1)}, parameter_type(x));
  Tensor beta = given_beta.defined() ? given_beta : zeros({x.size(1)}, parameter_type(x));
  const BatchNormParams params{gamma, beta, options.eps, then.relu, !options.training};
  const std::vector<Tensor> inputs{x, gamma, beta, then.residual};
  BatchNormResult r = options.training ? backend.batch_norm(x, then.residual, params, {}, {})
                                       : backend.batch_norm(x, then.residual, params, running_mean, running_var);
  if (options.training) {
    double count = double(x.numel() / x.size(1));
    update_running(running_mean, r.mean, options.momentum, 1);
    update_running(running_var, r.variance, options.momentum, count / (count - 1));
  } else if (needs_grad(inputs)) {  // the running statistics may change before the gradient is taken
    r.mean = running_mean.clone();
    r.variance = running_var.clone();
  }
  // The result tells what passed the ReLU; without a residual it is computed again from x, and need not be kept.
  Saved kept = saved(x, gamma, beta, r.mean, r.variance);
  if (then.residual.defined()) kept = std::move(kept).and_result();
  auto gradient = [eps = options.eps, relu = then.relu, constant = !options.training, &backend](const Back& k) {
    const BatchNormParams saved_params{k.saved[1], k.saved[2], eps, relu, constant};
    if (GradMode::enabled()) return by_constant_statistics(k, saved_params);  // to be differentiated again
    auto d = backend.batch_norm_backward(k.g, k.g_more, k.saved[0], saved_params, {k.result, k.saved[3], k.saved[4]});
    return Grads{d.x, d.gamma, d.beta, d.residual};
  };
  Scaling scaling{Scaling::Says::terms, {{}, {.axes = {1}}, {.term = 1, .axes = {1}}, {.term = 2}}, !then.relu};
  if (!options.training) return record(name, r.y, inputs, std::move(kept), ByOps{gradient}, scaling);
  scaling.inputs[0] = {.power = 0, .axes = {-1, 1, -1, -1}};
  return record(name, r.y, inputs, std::move(kept), ByKernel{gradient}.takes_parts(), scaling);
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                  const Tensor& running_var, const BatchNormOptions& options) {
  return batch_norm_op("batch_norm", x, gamma, beta, running_mean, running_var, options);
}

Tensor batch_norm_relu(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                       const Tensor& running_var, const BatchNormOptions& options) {
  return batch_norm_op("batch_norm_relu", x, gamma, beta, running_mean, running_var, options, {.relu = true});
}

Tensor batch_norm_add_relu(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                           const Tensor& running_var, const Tensor& residual, const BatchNormOptions& options) {
  if (residual.shape() != x.shape() || residual.dtype() != x.dtype()) {
    fail("batch_norm_add_relu: input {} and residual {} differ", describe(x), describe(residual));
  }
  return batch_norm_op("batch_norm_add_relu", x, gamma, beta, running_mean, running_var, options,
                       {.relu = true, .residual = residual});
}

}  // namespace az
