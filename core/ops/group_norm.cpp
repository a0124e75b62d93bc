#include <cmath>

#include "core/autograd.h"
#include "core/backend/strided.h"
#include "core/backend/threads.h"
#include "core/ops/create.h"
#include "core/ops/elementwise.h"
#include "core/ops/norm.h"
#include "core/ops/reduce.h"
#include "core/random.h"

namespace az {
namespace {

std::vector<int64_t> sizes(const Shape& shape) { return {shape.begin(), shape.end()}; }

template <class T> void standardize_rows(const T* x, T* y, int64_t rows, int64_t n, double eps) {
  parallel_for(rows, std::max<int64_t>(1, (1 << 14) / n), [=](int64_t begin, int64_t end) {
    using C = Compute<T>;
    for (int64_t row = begin; row < end; ++row) {
      const T* in = x + row * n;
      T* out = y + row * n;
      double total = 0, squares = 0;
      for (int64_t i = 0; i < n; ++i) total += double(C(in[i]));
      double mean = total / double(n);
      for (int64_t i = 0; i < n; ++i) squares += (double(C(in[i])) - mean) * (double(C(in[i])) - mean);
      double scale = 1 / std::sqrt(squares / double(n) + eps);
      for (int64_t i = 0; i < n; ++i) out[i] = T(C((double(C(in[i])) - mean) * scale));
    }
  });
}

// y = (x - mean) / sqrt(var + eps) along the rows of x [rows, n]. With s = 1/sqrt(var + eps), each row's gradient is
// dx = s (g - mean(g) - y mean(g y)).
Tensor standardize(const char* op, const Tensor& x, double eps) {
  Tensor value = Tensor::empty(x.shape(), x.dtype());
  visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if (x.numel()) standardize_rows(x.data<T>(), value.mutable_data<T>(), x.size(0), x.size(1), eps);
  });
  return record(op, value, {x}, saved(x).and_result(), ByOps{[eps](const Back& k) {
                  Tensor s = pow(var(k.saved[0], {{1}, true, 0}) + eps, -0.5), g = k.g.plain();
                  return Grads{s * (g - mean(g, {{1}, true}) - k.result * mean(g * k.result, {{1}, true}))};
                }},
                {Scaling::Says::terms, {{.power = 0, .axes = {0, -1}}}});
}

// x * gamma + beta, each where it is defined.
Tensor affine(Tensor x, const Tensor& gamma, const Tensor& beta) {
  if (gamma.defined()) x = x * gamma;
  return beta.defined() ? x + beta : x;
}

void check(const char* op, const Tensor& x, const Tensor& part, const char* name, const Shape& expected) {
  if (!is_float(x.dtype())) fail("{}: needs a floating type, got {}", op, describe(x));
  if (!part.defined()) return;
  if (part.shape() != expected) {
    fail("{}: {} is {}, want {} for input {}", op, name, describe(part), expected.str(), x.shape().str());
  }
  const DType wanted = x.dtype() == DType::bf16 ? DType::f32 : x.dtype();
  if (part.dtype() != wanted) {
    fail("{}: input is {}, so gamma and beta are {}, not {}", op, name_of(x.dtype()), name_of(wanted), name_of(part.dtype()));
  }
}

}  // namespace

Tensor group_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const GroupNormOptions& options) {
  if (x.rank() < 2) fail("group_norm: needs [n,c,...], got {}", describe(x));
  int64_t channels = x.size(1);
  if (options.groups < 1 || channels % options.groups)
    fail("group_norm: {} channels do not divide into {} groups", channels, options.groups);
  check("group_norm", x, gamma, "gamma", {channels});
  check("group_norm", x, beta, "beta", {channels});
  if (x.dtype() == DType::bf16) return group_norm(x.to(DType::f32), gamma, beta, options).to(DType::bf16);
  Shape rows{x.size(0) * options.groups, channels / options.groups};
  for (int axis = 2; axis < x.rank(); ++axis) rows[1] *= x.shape()[axis];
  std::vector<int64_t> per_channel(size_t(x.rank() - 1), 1);
  per_channel[0] = channels;
  auto shaped = [&](const Tensor& part) { return part.defined() ? part.reshape(per_channel) : part; };
  return affine(standardize("group_norm", x.reshape(sizes(rows)), options.eps).reshape(sizes(x.shape())), shaped(gamma),
                shaped(beta));
}

Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps) {
  int axes = gamma.defined() ? gamma.rank() : beta.defined() ? beta.rank() : 1;
  if (axes < 1 || axes > x.rank()) fail("layer_norm: {} axes to normalise in input {}", axes, describe(x));
  Shape normalized(x.shape().end() - axes, x.shape().end()), outer(x.shape().begin(), x.shape().end() - axes);
  check("layer_norm", x, gamma, "gamma", normalized);
  check("layer_norm", x, beta, "beta", normalized);
  if (x.dtype() == DType::bf16) return layer_norm(x.to(DType::f32), gamma, beta, eps).to(DType::bf16);
  Tensor rows = x.reshape({outer.numel(), normalized.numel()});
  return affine(standardize("layer_norm", rows, eps).reshape(sizes(x.shape())), gamma, beta);
}

Tensor dropout(const Tensor& x, double probability) {
  if (!(probability >= 0 && probability <= 1)) fail("dropout: probability is {}, must be from 0 to 1", probability);
  if (!is_float(x.dtype())) fail("dropout: needs a floating type, got {}", describe(x));
  if (probability == 0) return x;
  Tensor mask = Tensor::empty(x.shape(), x.dtype());
  Philox generator = next_generator();
  visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* keep = mask.mutable_data<T>();
    for (int64_t i = 0, n = x.numel(); i < n; ++i) keep[i] = T(generator.bernoulli(probability) ? 0 : 1);
  });
  // Not in the mask: bf16 would round it.
  return x * mask * (probability < 1 ? 1 / (1 - probability) : 1);
}

}  // namespace az
