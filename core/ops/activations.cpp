#include "core/ops/activations.h"

#include <cmath>
#include <numbers>

#include "core/base/random.h"
#include "core/kernels/exponential.h"
#include "core/kernels/vector.h"
#include "core/ops/chain.h"
#include "core/ops/elementwise.h"

// Gradients take differences by formulas in which nothing cancels, from x itself: its function, once rounded, has lost them.
namespace az {
namespace {

// y > 0 ? g : slope * g, in the layout of y: how the gradient passes a bend at 0.
Tensor bend(const Tensor& g, const Tensor& y, double slope) {
  return pass_by("bend", g, y, [slope](auto up, auto v) { return v > 0 ? up : slope == 0 ? 0 : decltype(v)(slope) * up; });
}

// What follows is written in e = exp(-|x|), which vanishes where x is large: what is multiplied by its factors one by one may
// be left of a product with e when e itself is not.

// s' = e / (1 + e)^2; s'' = s' (1 - 2 s) = -s' tanh(x / 2)
template <class N> AZ_INLINE N sigmoid_slope(N up, N x) {
  const auto e = falling(-falling_size(x));
  const N inverse = 1 / (1 + e.product());
  return e.times(up * inverse * inverse);
}

Tensor sigmoid_gradient(const Tensor& g, const Tensor& x) {
  return chain<Compute>(
      "sigmoid_gradient", g, x, [](auto up, auto v) AZ_INLINED { return sigmoid_slope(up, v); },
      [](const Tensor& h, const Tensor& v) { return neg(sigmoid_gradient(h, v) * tanh(v * 0.5)); });
}

// tanh(x) = 2 s(2 x) - 1
Tensor tanh_gradient(const Tensor& g, const Tensor& x) {
  return chain<Compute>(
      "tanh_gradient", g, x, [](auto up, auto v) AZ_INLINED { return sigmoid_slope(4 * up, 2 * v); },
      [](const Tensor& h, const Tensor& v) { return tanh_gradient(h, v) * tanh(v) * -2; });
}

// The derivative of silu is 0 at z = -1 - c, where c = exp(z).
constexpr double silu_c = 0.2784645427610738, silu_z = -1.2784645427610737, rest_of_silu_z = -1.0946994183093437e-16;

// t + c (exp(t) - 1) for |t| < turn.
template <class N> constexpr N turn = 0.5;
template <> constexpr float turn<float> = 0.125f;
AZ_INLINE float about_silu_z(float t) {
  constexpr double c = silu_c;
  return t * (float(1 + c) + t * (float(c / 2) + t * (float(c / 6) + t * (float(c / 24) + t * float(c / 120)))));
}
inline double about_silu_z(double t) { return t + silu_c * std::expm1(t); }

// (x s)' = e (1 + x + e) / (1 + e)^2 for x <= 0, and what that of -x lacks of 1 above. With x = z + t, 1 + x + e =
// t + c (exp(t) - 1), which keeps its digits about z. Second derivative: s' (2 - x tanh(x / 2)).
Tensor silu_gradient(const Tensor& g, const Tensor& x) {
  return chain<Compute>(
      "silu_gradient", g, x,
      [](auto up, auto v) AZ_INLINED {
        using N = decltype(v);
        const N a = falling_size(v), t = (-N(silu_z) - a) - N(silu_z - N(silu_z) + rest_of_silu_z);
        const auto f = falling(-a);
        const N e = f.product(), inverse = 1 / (1 + e), sum = std::abs(t) < turn<N> ? about_silu_z(t) : 1 - a + e;
        const N slope = sum * inverse * inverse;
        return v > 0 ? up * (1 - slope * e) : up * (slope * f.first) * f.second * f.second;
      },
      [](const Tensor& h, const Tensor& v) { return sigmoid_gradient(h, v) * (2 - v * tanh(v * 0.5)); });
}

// g (Phi(x) + x phi(x)), in the layout of x: how the gradient passes gelu(x) = x Phi(x). Its own derivative by x is
// g phi(x) (2 - x^2).
Tensor gelu_gradient(const Tensor& g, const Tensor& x) {
  const Tensor value = visit_float(
      x.dtype(), [&](auto zero) { return over_elements<decltype(zero)>([](auto... all) { gelu_backward(all...); }, x, g); });
  return record("gelu_gradient", value, {g, x}, saved(g, x), ByOps{[](const Back& k) {
                  const Tensor &v = k.saved[1], density = exp(v * v * -0.5) * (std::numbers::inv_sqrtpi / std::numbers::sqrt2);
                  return Grads{gelu_gradient(k.g, v), k.g * k.saved[0] * density * (2 - v * v)};
                }});
}

}  // namespace

Tensor tanh(const Tensor& x) {
  return record("tanh", map("tanh", x, Zero::kept, [](auto v) AZ_INLINED { return std::tanh(v); }), {x}, saved(x),
                ByOps{[](const Back& k) { return Grads{tanh_gradient(k.g, k.saved[0])}; }}, Homogeneity::never());
}

// 1 / (1 + e) above 0, e / (1 + e) below.
Tensor sigmoid(const Tensor& x) {
  const auto value = [](auto v) AZ_INLINED {
    const auto e = falling(-falling_size(v));
    const auto inverse = 1 / (1 + e.product());
    return v > 0 ? inverse : e.product() * inverse;
  };
  return record("sigmoid", map("sigmoid", x, Zero::moved, value), {x}, saved(x),
                ByOps{[](const Back& k) { return Grads{sigmoid_gradient(k.g, k.saved[0])}; }}, Homogeneity::never());
}

// NaN stays NaN, so that a diverged network is noticed.
Tensor relu(const Tensor& x) {
  return record("relu", map("relu", x, Zero::kept, [](auto v) { return v < 0 ? 0 : v; }), {x}, saved().and_result(),
                ByOps{[](const Back& k) { return Grads{bend(k.g, k.result, 0)}; }}, Homogeneity::each());
}

// Where the result is positive the gradient passes to both inputs, elsewhere to neither.
Tensor add_relu(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) fail("add_relu: {} and {} differ", describe(a), describe(b));
  if (!in_lanes(a.dtype())) return relu(a + b);
  const Tensor left = a.layout() ? a : laid_out(a, b.layout());
  const Tensor y = over_lanes([](auto... all) { add_relu(all...); }, left, b);
  return record("add_relu", y, {a, b}, saved().and_result(), ByKernel{[](const Back& k) {
                  const Tensor dx = bend(k.g, k.result, 0);
                  return Grads{dx, dx};
                }},
                Homogeneity::choice());
}

Tensor leaky_relu(const Tensor& x, double slope) {
  Tensor value = map("leaky_relu", x, Zero::kept, [slope](auto v) { return v > 0 ? v : v * decltype(v)(slope); });
  return record("leaky_relu", value, {x}, saved(x),
                ByOps{[slope](const Back& k) { return Grads{bend(k.g, k.saved[0], slope)}; }}, Homogeneity::each());
}

Tensor gelu(const Tensor& x) {
  if (!is_float(x.dtype())) fail("gelu: needs a floating type, got {}; convert with to()", describe(x));
  const Tensor value =
      visit_float(x.dtype(), [&](auto zero) { return over_elements<decltype(zero)>([](auto... all) { gelu(all...); }, x); });
  return record("gelu", value, {x}, saved(x), ByOps{[](const Back& k) { return Grads{gelu_gradient(k.g, k.saved[0])}; }},
                Homogeneity::never());
}

// x / (1 + e) above 0, x e / (1 + e) below: x e has digits where e has lost them.
Tensor silu(const Tensor& x) {
  const auto value = [](auto v) AZ_INLINED {
    const auto a = falling_size(v);
    const auto e = falling(-a);
    const auto inverse = 1 / (1 + e.product());
    return v >= 0 ? v * inverse : -e.times(a * inverse);
  };
  return record("silu", map("silu", x, Zero::kept, value), {x}, saved(x),
                ByOps{[](const Back& k) { return Grads{silu_gradient(k.g, k.saved[0])}; }}, Homogeneity::never());
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
