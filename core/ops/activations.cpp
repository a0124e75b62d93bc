#include <cmath>
#include <numbers>

#include "core/kernels/vector.h"
#include "core/ops/chain.h"
#include "core/ops/elementwise.h"

// The functions that stand between layers, and what they are made of. Their gradients take differences by formulas in which
// nothing cancels, from x itself: its function, once rounded, has lost them.
namespace az {
namespace {

// Where exp(-x) has long been 0. What it is multiplied by goes no further: 0 times infinity is no number.
constexpr int far_away = 10000;

// y > 0 ? g : slope * g, in the layout of y: how the gradient passes a bend at 0.
Tensor bend(const Tensor& g, const Tensor& y, double slope) {
  if (slope != 0 || !in_lanes(y.dtype()))
    return pass_by("bend", g, y, [slope](auto up, auto v) { return v > 0 ? up : slope == 0 ? 0 : decltype(v)(slope) * up; });
  const Tensor value = over_lanes([](auto... all) { relu_backward(all...); }, y, g);
  return record("bend", value, {g}, saved(y.detach()), ByOps{[](const Back& k) { return Grads{bend(k.g, k.saved[0], 0)}; }});
}

// What follows is written in h = exp(-|x| / 2), whose square is the e that vanishes where x is large: what is multiplied by h
// twice may be left of a product with e when e itself is not.

// s' = e / (1 + e)^2, e = exp(-|x|); s'' = s' (1 - 2 s) = -s' tanh(x / 2)
template <class N> AZ_INLINE N sigmoid_slope(N up, N x) {
  const N h = std::exp(std::abs(x) * N(-0.5)), inverse = 1 / (1 + h * h);
  return up * (h * inverse) * (h * inverse);
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

// exp(t) - 1 for |t| < 0.5.
AZ_INLINE float small_expm1(float t) {
  float p = t * (1 / 8.0f) + 1;
  for (int k = 7; k > 1; --k) p = p * t * (1.0f / float(k)) + 1;
  return p * t;
}
inline double small_expm1(double t) { return std::expm1(t); }

// (x s)' = (1 + e (1 + x)) / (1 + e)^2 for x >= 0 and e (1 + x + e) / (1 + e)^2 below, e = exp(-|x|). It is 0 at z = -1 - c,
// where c = exp(z): with x = z + t, 1 + x + e = t + c (exp(t) - 1), which keeps its digits there. Second derivative: s' (2 - x
// tanh(x / 2)).
Tensor silu_gradient(const Tensor& g, const Tensor& x) {
  return chain<Compute>(
      "silu_gradient", g, x,
      [](auto up, auto given) AZ_INLINED {
        using N = decltype(given);
        constexpr double c = 0.2784645427610738, z = -1.2784645427610737, rest_of_z = -1.0946994183093437e-16;
        const N v = given > far_away ? N(far_away) : given < -far_away ? N(-far_away) : given;
        const N h = std::exp(std::abs(v) * N(-0.5)), e = h * h, inverse = 1 / (1 + e);
        const N t = (v - N(z)) - N(z - N(z) + rest_of_z);
        const N sum = v >= 0 ? 1 + e * (1 + v) : std::abs(t) < N(0.5) ? t + N(c) * small_expm1(t) : 1 + v + e;
        const N factor = (v >= 0 ? 1 : h) * inverse;
        return up * (sum * factor) * factor;
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

// exp(x) / (1 + exp(x)), which is 1 in every type from 60 on.
Tensor sigmoid(const Tensor& x) {
  const auto value = [](auto v) AZ_INLINED {
    const auto e = std::exp(v > 60 ? 60 : v);
    return e / (1 + e);
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
                  const Tensor dx = over_lanes([](auto... all) { relu_backward(all...); }, k.result, k.g);
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

// x h^2 / (1 + h^2) with h = exp(x / 2): x exp(x) has digits where exp(x) has lost them.
Tensor silu(const Tensor& x) {
  const auto value = [](auto given) AZ_INLINED {
    using N = decltype(given);
    const N v = given < -far_away ? N(-far_away) : given, h = std::exp((v > 60 ? 60 : v) * N(0.5));
    return v * (h / (1 + h * h)) * h;
  };
  return record("silu", map("silu", x, Zero::kept, value), {x}, saved(x),
                ByOps{[](const Back& k) { return Grads{silu_gradient(k.g, k.saved[0])}; }}, Homogeneity::never());
}

}  // namespace az
