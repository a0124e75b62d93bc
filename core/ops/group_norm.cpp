#include <cmath>

#include "core/autograd/autograd.h"
#include "core/ops/elementwise.h"
#include "core/ops/norm.h"
#include "core/ops/reduce.h"
#include "core/ops/rows.h"
#include "core/tensor/create.h"

namespace az {
namespace {

std::vector<int64_t> sizes(const Shape& shape) { return {shape.begin(), shape.end()}; }

Tensor over_rows(const Tensor& x) { return mean(x, {{1}, true}); }

// 1 / sqrt(var + eps)
template <class T> AZ_INLINE Wider<T> inverse_deviation(Wider<T> centre, const RowOf<T>& row, double eps) {
  return 1 / std::sqrt(squares_about(centre, row) / Wider<T>(row.n) + Wider<T>(eps));
}

Tensor standardize(const char* op, const Tensor& x, double eps);

// With s = 1 / sqrt(var + eps): dx = s (g - mean(g) - y mean(g y)).
Tensor standardize_gradient(const Tensor& g, const Tensor& x, double eps) {
  Tensor value = by_rows(g, x, x.size(1), [eps]<class T>(const RowOf<T>& row, T* dx) AZ_INLINED {
    using N = Wider<T>;
    const N centre = mean_of(row), scale = inverse_deviation(centre, row, eps), n = N(row.n);
    const N mean_g = total<N>(row.n, [&](int64_t i) AZ_INLINED { return row.up(i); }) / n;
    const auto y = [&](int64_t i) AZ_INLINED { return (row.at(i) - centre) * scale; };
    const N mean_gy = total<N>(row.n, [&](int64_t i) AZ_INLINED { return (row.up(i) - mean_g) * y(i); }) / n;
    for (int64_t i = 0; i < row.n; ++i) dx[i] = T(scale * ((row.up(i) - mean_g) - y(i) * mean_gy));
  });
  // It is symmetric in g. With k and g less their means, a = mean(k y) and b = mean(g y), k dx = n s (mean(k g) - a b) has the
  // gradient -s^2 (y (mean(k g) - 3 a b) + k b + g a).
  return record("standardize_gradient", value, {g, x}, saved(g, x), ByOps{[eps](const Back& k) {
                  const Tensor &up = k.saved[0], &at = k.saved[1];
                  if (!k.needs(1)) return Grads{standardize_gradient(k.g, at, eps), Tensor()};
                  const Tensor y = standardize("standardize", at, eps), square = var(at, {{1}, true, 0}) + eps;
                  const Tensor kc = k.g - over_rows(k.g), gc = up - over_rows(up), a = over_rows(kc * y), b = over_rows(gc * y);
                  return Grads{standardize_gradient(k.g, at, eps),
                               neg((y * (over_rows(kc * gc) - a * b * 3) + kc * b + gc * a) / square)};
                }});
}

// y = (x - mean) / sqrt(var + eps) along the rows of x [rows, n].
Tensor standardize(const char* op, const Tensor& x, double eps) {
  Tensor value = by_rows({}, x, x.size(1), [eps]<class T>(const RowOf<T>& row, T* y) AZ_INLINED {
    const Wider<T> centre = mean_of(row), scale = inverse_deviation(centre, row, eps);
    for (int64_t i = 0; i < row.n; ++i) y[i] = T((row.at(i) - centre) * scale);
  });
  return record(op, value, {x}, saved(x),
                ByOps{[eps](const Back& k) { return Grads{standardize_gradient(k.g, k.saved[0], eps)}; }},
                {Homogeneity::Says::terms, {{.power = 0, .axes = {0, -1}}}});
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

Tensor group_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const GroupNormParams& params) {
  if (x.rank() < 2) fail("group_norm: needs [n,c,...], got {}", describe(x));
  int64_t channels = x.size(1);
  if (params.groups < 1 || channels % params.groups)
    fail("group_norm: {} channels do not divide into {} groups", channels, params.groups);
  check("group_norm", x, gamma, "gamma", {channels});
  check("group_norm", x, beta, "beta", {channels});
  if (x.dtype() == DType::bf16) return group_norm(x.to(DType::f32), gamma, beta, params).to(DType::bf16);
  Shape rows{x.size(0) * params.groups, channels / params.groups};
  for (int axis = 2; axis < x.rank(); ++axis) rows[1] *= x.shape()[axis];
  std::vector<int64_t> per_channel(size_t(x.rank() - 1), 1);
  per_channel[0] = channels;
  auto shaped = [&](const Tensor& part) { return part.defined() ? part.reshape(per_channel) : part; };
  return affine(standardize("group_norm", x.reshape(sizes(rows)), params.eps).reshape(sizes(x.shape())), shaped(gamma),
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

}  // namespace az
