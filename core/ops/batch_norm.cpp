#include <algorithm>
#include <cmath>

#include "core/autograd.h"
#include "core/backend/backend.h"
#include "core/backend/layout.h"
#include "core/backend/vector.h"
#include "core/ops/create.h"
#include "core/ops/elementwise.h"
#include "core/ops/norm.h"

namespace az {
namespace {

void check_batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& mean, const Tensor& var,
                      bool training) {
  if (x.rank() != 2 && x.rank() != 4) fail("batch_norm: input is [n,c] or [n,c,h,w], not {}", x.shape().str());
  for (const Tensor& t : {gamma, beta, mean, var}) {
    if (t.defined() && t.shape() != Shape{x.size(1)}) {
      fail("batch_norm: input {} has {} channels, a parameter or statistic is {}", x.shape().str(), x.size(1), t.shape().str());
    }
  }
  if (training && x.numel() / std::max<int64_t>(x.size(1), 1) < 2) {
    fail("batch_norm: needs more than one value a channel to take statistics over, got input {}", x.shape().str());
  }
  if (!training && (!mean.defined() || !var.defined())) fail("batch_norm: evaluation needs running statistics");
}

// running = (1 - momentum) running + momentum batch; the variance of `count` values made unbiased first.
template <class T> void update_running(const Tensor& running, const Tensor& batch, double momentum, double factor) {
  T* r = running.mutable_data<T>();
  const T* b = batch.data<T>();
  for (int64_t i = 0; i < running.numel(); ++i) r[i] = T((1 - momentum) * double(r[i]) + momentum * factor * double(b[i]));
}

void update_running(const Tensor& running, const Tensor& batch, double momentum, double factor) {
  if (!running.defined()) return;
  if (running.dtype() == DType::f64)
    update_running<double>(running, batch, momentum, factor);
  else
    update_running<float>(running, batch, momentum, factor);
}

bool all_finite(const Tensor& statistics) {
  const std::vector<double> values = statistics.to_vector<double>();
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

// With statistics that are constants the layer is x * scale + shift, made of ops.
Tensor by_running_statistics(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& mean, const Tensor& var,
                             const BatchNormOptions& options, bool with_relu) {
  auto channels = [&](const Tensor& t) { return t.reshape({1, -1, 1, 1}); };
  Tensor scale = gamma / sqrt(var + options.eps);
  Tensor y = x * channels(scale) + channels(beta - mean * scale);
  return with_relu ? relu(y) : y;
}

// With xhat = (x - mean) / sqrt(var + eps), over the m values of a channel:
// dbeta = sum g, dgamma = sum g xhat, dx = gamma / sqrt(var + eps) (g - (dbeta + xhat dgamma) / m); ReLU first zeroes g where y =
// 0.
Tensor batch_norm_op(const char* name, const Tensor& x, const Tensor& given_gamma, const Tensor& given_beta,
                     const Tensor& running_mean, const Tensor& running_var, const BatchNormOptions& options, bool with_relu) {
  check_batch_norm(x, given_gamma, given_beta, running_mean, running_var, options.training);
  if (x.rank() == 2) {
    Tensor image = x.reshape({x.size(0), x.size(1), 1, 1});
    return batch_norm_op(name, image, given_gamma, given_beta, running_mean, running_var, options, with_relu)
        .reshape({x.size(0), x.size(1)});
  }
  Tensor gamma = given_gamma.defined() ? given_gamma : ones({x.size(1)}, x.dtype());
  Tensor beta = given_beta.defined() ? given_beta : zeros({x.size(1)}, x.dtype());
  Backend& backend = backend_for(x.dtype(), name);
  if (!options.training) {
    if (needs_grad({x, gamma, beta})) return by_running_statistics(x, gamma, beta, running_mean, running_var, options, with_relu);
    return backend.batch_norm(x, gamma, beta, running_mean, running_var, options.eps, with_relu).y;
  }
  BatchNormResult r = backend.batch_norm(x, gamma, beta, {}, {}, options.eps, with_relu);
  // A fused ReLU may turn NaN into 0, which would hide a training that has diverged.
  if (with_relu && !all_finite(r.variance)) {
    return relu(batch_norm_op(name, x, gamma, beta, running_mean, running_var, options, false));
  }
  double count = double(x.numel() / x.size(1));
  update_running(running_mean, r.mean, options.momentum, 1);
  update_running(running_var, r.variance, options.momentum, count / (count - 1));
  return record(name, r.y, {x, gamma, beta}, saved(x, gamma, beta, r.mean, r.variance, r.relu_mask),
                ByKernel{[eps = options.eps, &backend](const Back& k) {
                  BatchNormResult forward{{}, k.saved[3], k.saved[4], k.saved[5]};
                  auto d = backend.batch_norm_backward(k.g, k.saved[0], k.saved[1], k.saved[2], forward, eps);
                  return Grads{d.x, d.gamma, d.beta};
                }});
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean, const Tensor& running_var,
                  const BatchNormOptions& options) {
  return batch_norm_op("batch_norm", x, gamma, beta, running_mean, running_var, options, false);
}

Tensor batch_norm_relu(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                       const Tensor& running_var, const BatchNormOptions& options) {
  return batch_norm_op("batch_norm_relu", x, gamma, beta, running_mean, running_var, options, true);
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
