#include <cmath>

#include "core/ops/chain.h"
#include "core/ops/elementwise.h"
#include "core/tensor/create.h"

// Functions of one tensor and perhaps a number, element by element.
namespace az {
namespace {

template <class T> using Double = double;

// A number beside whole ones.
Tensor whole(const char* op, const Tensor& a, double b) {
  if (std::trunc(b) != b || !(std::abs(b) < 0x1p63))
    fail("{}: {} is no whole number, {} holds nothing else; convert with to()", op, b, describe(a));
  return full({}, b, DType::i64);
}

// v^exponent, by the power of |v|: those of numbers below 0 are not for vectors.
template <class N> AZ_INLINE N power(N v, N exponent, bool is_whole, bool is_odd) {
  const N p = std::pow(std::abs(v), exponent);
  return is_odd ? std::copysign(p, v) : is_whole || !(v < 0) || v == -INFINITY ? p : N(NAN);
}
// Calls f(raise), raise(v) being v^exponent.
template <class F> decltype(auto) with_power(double exponent, F f) {
  if (exponent == 1) return f([](auto v) AZ_INLINED { return v; });
  if (exponent == 2) return f([](auto v) AZ_INLINED { return v * v; });
  const bool is_whole = std::trunc(exponent) == exponent, is_odd = std::fmod(std::abs(exponent), 2) == 1;
  return f([=](auto v) AZ_INLINED { return power(v, decltype(v)(exponent), is_whole, is_odd); });
}

// g e x^(e - 1), rounded once: x^(e - 1) may overflow where e times it does not.
Tensor pow_gradient(const Tensor& g, const Tensor& x, double exponent) {
  if (exponent == 0) return zeros_like(g);
  return with_power(exponent - 1, [&](auto raise) {
    return chain<Wider>(
        "pow_gradient", g, x, [=](auto up, auto v) AZ_INLINED { return up * (decltype(v)(exponent) * raise(v)); },
        [exponent](const Tensor& h, const Tensor& v) { return pow_gradient(h * exponent, v, exponent - 1); });
  });
}

}  // namespace

Tensor add(const Tensor& a, double b) {
  if (a.dtype() == DType::i64) return add(a, whole("add", a, b));
  Tensor value = map("add", a, Zero::moved, [b](auto v) { return v + decltype(v)(b); });
  return record("add", value, {a}, saved(), ByOps{[](const Back& k) { return Grads{k.g}; }}, Homogeneity::plus(b));
}

Tensor mul(const Tensor& a, double b) {
  if (a.dtype() == DType::i64) return mul(a, whole("mul", a, b));
  const Zero zero = std::isfinite(b) ? Zero::kept : Zero::moved;
  Tensor value = map("mul", a, zero, [b](auto v) { return v * decltype(v)(b); });
  return record("mul", value, {a}, saved(), ByOps{[b](const Back& k) { return Grads{k.g * b}; }}, Homogeneity::same());
}

Tensor div(const Tensor& a, double b) {
  if (a.dtype() == DType::i64) return div(a.to(DType::f32), b);
  const Zero zero = 0 / b == 0 ? Zero::kept : Zero::moved;
  Tensor value = map("div", a, zero, [b](auto v) { return v / decltype(v)(b); });
  return record("div", value, {a}, saved(), ByOps{[b](const Back& k) { return Grads{k.g / b}; }}, Homogeneity::same());
}

Tensor neg(const Tensor& x) { return mul(x, -1); }

Tensor exp(const Tensor& x) {
  return record("exp", map("exp", x, Zero::moved, [](auto v) { return std::exp(v); }), {x}, saved().and_result(),
                ByOps{[](const Back& k) { return Grads{k.g * k.result}; }}, Homogeneity::never());
}

Tensor log(const Tensor& x) {
  return record("log", map("log", x, Zero::moved, [](auto v) { return std::log(v); }), {x}, saved(x),
                ByOps{[](const Back& k) { return Grads{k.g / k.saved[0]}; }}, Homogeneity::never());
}

Tensor sqrt(const Tensor& x) {
  return record("sqrt", map("sqrt", x, Zero::kept, [](auto v) { return std::sqrt(v); }), {x}, saved().and_result(),
                ByOps{[](const Back& k) { return Grads{k.g / (k.result * 2)}; }}, Homogeneity::power(0.5));
}

Tensor sin(const Tensor& x) {
  return record("sin", map("sin", x, Zero::kept, [](auto v) { return std::sin(v); }), {x}, saved(x),
                ByOps{[](const Back& k) { return Grads{k.g * cos(k.saved[0])}; }}, Homogeneity::never());
}

Tensor cos(const Tensor& x) {
  return record("cos", map("cos", x, Zero::moved, [](auto v) { return std::cos(v); }), {x}, saved(x),
                ByOps{[](const Back& k) { return Grads{neg(k.g * sin(k.saved[0]))}; }}, Homogeneity::never());
}

Tensor abs(const Tensor& x) {
  return record(
      "abs", map("abs", x, Zero::kept, [](auto v) { return std::abs(v); }), {x}, saved(x), ByOps{[](const Back& k) {
        return Grads{pass_by("abs_gradient", k.g, k.saved[0], [](auto up, auto v) { return v > 0 ? up : v < 0 ? -up : 0; })};
      }},
      Homogeneity::each());
}

Tensor pow(const Tensor& x, double exponent) {
  Tensor value = exponent == 2 ? map("pow", x, Zero::moved, [](auto v) { return v * v; })
                               : with_power(exponent, [&](auto raise) { return map<Double>("pow", x, Zero::moved, raise); });
  return record("pow", value, {x}, saved(x),
                ByOps{[exponent](const Back& k) { return Grads{pow_gradient(k.g.plain(), k.saved[0].plain(), exponent)}; }},
                Homogeneity::power(exponent));
}

Tensor clamp(const Tensor& x, ClampOptions options) {
  const double low = options.min, high = options.max;
  if (std::isnan(low) || std::isnan(high)) fail("clamp: a bound is not a number (min {}, max {})", low, high);
  if (low > high) fail("clamp: min {} is above max {}", low, high);
  const Zero zero = low <= 0 && high >= 0 ? Zero::kept : Zero::moved;
  Tensor value = map("clamp", x, zero, [low, high](auto v) {
    using T = decltype(v);
    return v < T(low) ? T(low) : v > T(high) ? T(high) : v;
  });
  const bool is_homogeneous =
      (low == 0 || low == -INFINITY || (low > 0 && Homogeneity::is_guard(low))) && (high == 0 || high == INFINITY);
  return record("clamp", value, {x}, saved(x), ByOps{[low, high](const Back& k) {
                  return Grads{pass_by("clamp_gradient", k.g, k.saved[0], [low, high](auto up, auto v) {
                    using T = decltype(v);
                    return v >= T(low) && v <= T(high) ? up : 0;
                  })};
                }},
                is_homogeneous ? Homogeneity::each() : Homogeneity::never());
}

}  // namespace az
