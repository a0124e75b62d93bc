#include <algorithm>

#include "core/autograd.h"
#include "core/backend/backend.h"
#include "core/backend/layout.h"
#include "core/backend/vector.h"
#include "core/ops/create.h"
#include "core/ops/elementwise.h"
#include "core/ops/norm.h"

namespace az {
namespace {

void check_batch_norm(const char* name, const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& mean,
                      const Tensor& var, bool training) {
  if (x.rank() != 2 && x.rank() != 4) fail("{}: input is [n,c] or [n,c,h,w], not {}", name, x.shape().str());
  for (const Tensor& t : {gamma, beta, mean, var}) {
    if (t.defined() && t.shape() != Shape{x.size(1)}) {
      fail("{}: input {} has {} channels, a parameter or statistic is {}", name, x.shape().str(), x.size(1), t.shape().str());
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

// With statistics that are constants the layer is x * scale + shift, made of ops.
Tensor by_running_statistics(const Tensor& x, const BatchNormParams& params, const Tensor& mean, const Tensor& var,
                             const Then& then) {
  auto channels = [&](const Tensor& t) { return t.reshape({1, -1, 1, 1}); };
  Tensor scale = params.gamma / sqrt(var + params.eps);
  Tensor y = x * channels(scale) + channels(params.beta - mean * scale);
  if (then.residual.defined()) return add_relu(y, then.residual);
  return then.relu ? relu(y) : y;
}

Tensor batch_norm_op(const char* name, const Tensor& x, const Tensor& given_gamma, const Tensor& given_beta,
                     const Tensor& running_mean, const Tensor& running_var, const BatchNormOptions& options,
                     const Then& then = {}) {
  check_batch_norm(name, x, given_gamma, given_beta, running_mean, running_var, options.training);
  if (x.rank() == 2) {
    auto image = [](const Tensor& t) { return t.defined() ? t.reshape({t.size(0), t.size(1), 1, 1}) : t; };
    return batch_norm_op(name, image(x), given_gamma, given_beta, running_mean, running_var, options,
                         {then.relu, image(then.residual)})
        .reshape({x.size(0), x.size(1)});
  }
  Tensor gamma = given_gamma.defined() ? given_gamma : ones({x.size(1)}, x.dtype());
  Tensor beta = given_beta.defined() ? given_beta : zeros({x.size(1)}, x.dtype());
  const BatchNormParams params{gamma, beta, options.eps, then.relu};
  const std::vector<Tensor> inputs{x, gamma, beta, then.residual};
  Backend& backend = backend_for(x.dtype(), name);
  if (!options.training && needs_grad(inputs)) return by_running_statistics(x, params, running_mean, running_var, then);
  BatchNormResult r = options.training ? backend.batch_norm(x, then.residual, params, {}, {})
                                       : backend.batch_norm(x, then.residual, params, running_mean, running_var);
  if (options.training) {
    double count = double(x.numel() / x.size(1));
    update_running(running_mean, r.mean, options.momentum, 1);
    update_running(running_var, r.variance, options.momentum, count / (count - 1));
  }
  // The result tells what passed the ReLU; without a residual it is computed again from x, and need not be kept.
  Saved kept = saved(x, gamma, beta, r.mean, r.variance);
  if (then.residual.defined()) kept = std::move(kept).and_result();
  return record(name, r.y, inputs, std::move(kept), ByKernel{[eps = options.eps, relu = then.relu, &backend](const Back& k) {
                                                      auto d = backend.batch_norm_backward(k.g, k.g_more, k.saved[0],
                                                                                           {k.saved[1], k.saved[2], eps, relu},
                                                                                           {k.result, k.saved[3], k.saved[4]});
                                                      return Grads{d.x, d.gamma, d.beta, d.residual};
                                                    }}.takes_parts());
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean, const Tensor& running_var,
                  const BatchNormOptions& options) {
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

// Where the result is positive the gradient passes to both inputs, elsewhere to neither.
Tensor add_relu(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) fail("add_relu: {} and {} differ", describe(a), describe(b));
  if (a.dtype() != DType::f32) return relu(a + b);
  const Layout* layout = a.layout() ? a.layout() : b.layout();
  Tensor left = a.layout() == layout ? a : reorder(a, layout), right = b.layout() == layout ? b : reorder(b, layout);
  Tensor y = Tensor::empty(a.shape(), a.dtype(), layout);
  int64_t count = int64_t(y.storage()->bytes() / sizeof(float));
  add_relu(count, static_cast<const float*>(left.raw()), static_cast<const float*>(right.raw()), static_cast<float*>(y.raw()));
  return record("add_relu", y, {a, b}, saved().and_result(), ByKernel{[](const Back& k) {
                  Tensor g = k.g.layout() == k.result.layout() ? k.g : reorder(k.g, k.result.layout());
                  Tensor dx = Tensor::empty(g.shape(), g.dtype(), g.layout());
                  int64_t n = int64_t(dx.storage()->bytes() / sizeof(float));
                  relu_backward(n, static_cast<const float*>(k.result.raw()), static_cast<const float*>(g.raw()),
                                static_cast<float*>(dx.raw()));
                  return Grads{dx, dx};
                }});
}

}  // namespace az
