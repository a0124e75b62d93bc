#include <cmath>
#include <numbers>

#include "core/autograd.h"
#include "core/backend/layout.h"
#include "core/backend/strided.h"
#include "core/backend/threads.h"
#include "core/backend/vector.h"
#include "core/ops/create.h"
#include "core/ops/elementwise.h"

// glibc has these for whole vectors, accurate to 4 ulp; told so, GCC vectorises the loops below. oneDNN's would not do:
// its exp and relu turn NaN into numbers.
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__)
#if __GLIBC_PREREQ(2, 35)
#define AZ_VECTOR(name)                                      \
  [[gnu::simd("notinbranch")]] double name(double) noexcept; \
  [[gnu::simd("notinbranch")]] float name##f(float) noexcept;
extern "C" {
AZ_VECTOR(exp) AZ_VECTOR(log) AZ_VECTOR(sin) AZ_VECTOR(cos) AZ_VECTOR(tanh)
}
#endif
#endif

// Functions of one tensor, element by element.
namespace az {
namespace {

constexpr int64_t grain = 1 << 14;

// A function with f(0) = 0 may run on a tensor as it lies, channel padding included; the result has the same layout.
enum class Zero { kept, moved };

template <class T, class F> AZ_MULTIVERSION void map_range(int64_t n, const T* in, T* out, F f) {
  for (int64_t i = 0; i < n; ++i) out[i] = T(f(Compute<T>(in[i])));
}

template <class F> Tensor map(const char* op, const Tensor& x, Zero zero_is, F f) {
  if (!is_float(x.dtype())) fail("{}: needs a floating type, got {}; convert with to()", op, describe(x));
  Tensor from = zero_is == Zero::kept ? x : x.plain();
  Tensor y = Tensor::empty(x.shape(), x.dtype(), from.layout());
  visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* in = static_cast<const T*>(from.raw());
    T* out = static_cast<T*>(y.raw());
    parallel_for(int64_t(y.storage()->bytes() / sizeof(T)), grain,
                 [=](int64_t begin, int64_t end) { map_range(end - begin, in + begin, out + begin, f); });
  });
  return y;
}

// y > 0 ? g : slope * g, in the layout of y: how the gradient passes a bend at 0.
Tensor bend(const Tensor& g, const Tensor& y, double slope) {
  Tensor from = laid_out(g, y.layout()), value = Tensor::empty(y.shape(), y.dtype(), y.layout());
  visit_float(from.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using C = Compute<T>;
    const T *on = static_cast<const T*>(y.raw()), *in = static_cast<const T*>(from.raw());
    T* out = static_cast<T*>(value.raw());
    int64_t count = int64_t(value.storage()->bytes() / sizeof(T));
    if constexpr (!std::is_same_v<T, double>) {
      if (slope == 0) return relu_backward(count, on, in, out);
    }
    parallel_for(count, grain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = T(C(on[i]) > 0 ? C(in[i]) : C(slope) * C(in[i]));
    });
  });
  return record("bend", value, {g}, saved(y.detach()),
                ByOps{[slope](const Back& k) { return Grads{bend(k.g, k.saved[0], slope)}; }});
}

// g (Phi(x) + x phi(x)), in the layout of x: how the gradient passes gelu(x) = x Phi(x). Its own derivative by x is g phi(x) (2 -
// x^2).
Tensor gelu_gradient(const Tensor& g, const Tensor& x) {
  Tensor from = laid_out(g, x.layout()), value = Tensor::empty(x.shape(), x.dtype(), x.layout());
  visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    gelu_backward(int64_t(value.storage()->bytes() / sizeof(T)), static_cast<const T*>(x.raw()),
                  static_cast<const T*>(from.raw()), static_cast<T*>(value.raw()));
  });
  return record("gelu_gradient", value, {g, x}, saved(g, x), ByOps{[](const Back& k) {
                  const Tensor &v = k.saved[1], density = exp(v * v * -0.5) * (std::numbers::inv_sqrtpi / std::numbers::sqrt2);
                  return Grads{gelu_gradient(k.g, v), k.g * k.saved[0] * density * (2 - v * v)};
                }});
}

// A number beside whole ones.
Tensor whole(const char* op, const Tensor& a, double b) {
  if (std::trunc(b) != b || !(std::abs(b) < 0x1p63))
    fail("{}: {} is no whole number, {} holds nothing else; convert with to()", op, b, describe(a));
  return full({}, b, DType::i64);
}

template <class T> T logistic(T v) { return 1 / (1 + std::exp(-v)); }

}  // namespace

Tensor add(const Tensor& a, double b) {
  if (a.dtype() == DType::i64) return add(a, whole("add", a, b));
  Tensor value = map("add", a, Zero::moved, [b](auto v) { return v + decltype(v)(b); });
  return record("add", value, {a}, saved(), ByOps{[](const Back& k) { return Grads{k.g}; }}, Scaling::plus(b));
}

Tensor mul(const Tensor& a, double b) {
  if (a.dtype() == DType::i64) return mul(a, whole("mul", a, b));
  const Zero zero = std::isfinite(b) ? Zero::kept : Zero::moved;
  Tensor value = map("mul", a, zero, [b](auto v) { return v * decltype(v)(b); });
  return record("mul", value, {a}, saved(), ByOps{[b](const Back& k) { return Grads{k.g * b}; }}, Scaling::same());
}

Tensor div(const Tensor& a, double b) {
  if (a.dtype() == DType::i64) return div(a.to(DType::f32), b);
  const Zero zero = 0 / b == 0 ? Zero::kept : Zero::moved;
  Tensor value = map("div", a, zero, [b](auto v) { return v / decltype(v)(b); });
  return record("div", value, {a}, saved(), ByOps{[b](const Back& k) { return Grads{k.g / b}; }}, Scaling::same());
}

Tensor neg(const Tensor& x) { return mul(x, -1); }

Tensor exp(const Tensor& x) {
  return record("exp", map("exp", x, Zero::moved, [](auto v) { return std::exp(v); }), {x}, saved().and_result(),
                ByOps{[](const Back& k) { return Grads{k.g * k.result}; }}, Scaling::never());
}

Tensor log(const Tensor& x) {
  return record("log", map("log", x, Zero::moved, [](auto v) { return std::log(v); }), {x}, saved(x),
                ByOps{[](const Back& k) { return Grads{k.g / k.saved[0]}; }}, Scaling::never());
}

Tensor sqrt(const Tensor& x) {
  return record("sqrt", map("sqrt", x, Zero::kept, [](auto v) { return std::sqrt(v); }), {x}, saved().and_result(),
                ByOps{[](const Back& k) { return Grads{k.g / (k.result * 2)}; }}, Scaling::power(0.5));
}

Tensor sin(const Tensor& x) {
  return record("sin", map("sin", x, Zero::kept, [](auto v) { return std::sin(v); }), {x}, saved(x),
                ByOps{[](const Back& k) { return Grads{k.g * cos(k.saved[0])}; }}, Scaling::never());
}

Tensor cos(const Tensor& x) {
  return record("cos", map("cos", x, Zero::moved, [](auto v) { return std::cos(v); }), {x}, saved(x),
                ByOps{[](const Back& k) { return Grads{neg(k.g * sin(k.saved[0]))}; }}, Scaling::never());
}

// tanh' = 1 - tanh^2
Tensor tanh(const Tensor& x) {
  return record("tanh", map("tanh", x, Zero::kept, [](auto v) { return std::tanh(v); }), {x}, saved().and_result(),
                ByOps{[](const Back& k) { return Grads{k.g - k.g * k.result * k.result}; }}, Scaling::never());
}

// s'(x) = s(x) s(-x): 1 - s(x) would lose what is left of it where s is close to 1.
Tensor sigmoid(const Tensor& x) {
  return record("sigmoid", map("sigmoid", x, Zero::moved, [](auto v) { return logistic(v); }), {x}, saved(x).and_result(),
                ByOps{[](const Back& k) { return Grads{k.g * k.result * sigmoid(neg(k.saved[0]))}; }}, Scaling::never());
}

Tensor abs(const Tensor& x) {
  return record("abs", map("abs", x, Zero::kept, [](auto v) { return std::abs(v); }), {x}, saved(x), ByOps{[](const Back& k) {
                  const Tensor& v = k.saved[0];
                  Tensor sign = map("sign", v.detach(), Zero::kept, [](auto e) { return decltype(e)((e > 0) - (e < 0)); });
                  return Grads{k.g * sign};
                }},
                Scaling::each());
}

Tensor pow(const Tensor& x, double exponent) {
  Tensor value = map("pow", x, Zero::moved,
                     [exponent](auto v) { return exponent == 2 ? v * v : decltype(v)(std::pow(v, decltype(v)(exponent))); });
  return record("pow", value, {x}, saved(x), ByOps{[exponent](const Back& k) {
                  if (exponent == 0) return Grads{zeros_like(k.g)};
                  return Grads{k.g * pow(k.saved[0], exponent - 1) * exponent};
                }},
                Scaling::power(exponent));
}

Tensor clamp(const Tensor& x, ClampOptions options) {
  const double low = options.min, high = options.max;
  if (std::isnan(low) || std::isnan(high)) fail("clamp: a bound is not a number (min {}, max {})", low, high);
  if (low > high) fail("clamp: min {} is above max {}", low, high);
  Tensor value = map("clamp", x, Zero::moved, [low, high](auto v) {
    using T = decltype(v);
    return v < T(low) ? T(low) : v > T(high) ? T(high) : v;
  });
  const bool scales = (low == 0 || low == -INFINITY || (low > 0 && Scaling::is_guard(low))) && (high == 0 || high == INFINITY);
  return record("clamp", value, {x}, saved(x), ByOps{[low, high](const Back& k) {
                  Tensor inside = map("clamp", k.saved[0].detach(), Zero::moved, [low, high](auto v) {
                    using T = decltype(v);
                    return T(v >= T(low) && v <= T(high));
                  });
                  return Grads{k.g * inside};
                }},
                scales ? Scaling::each() : Scaling::never());
}

// NaN stays NaN, so that a diverged network is noticed.
Tensor relu(const Tensor& x) {
  return record("relu", map("relu", x, Zero::kept, [](auto v) { return v < 0 ? 0 : v; }), {x}, saved().and_result(),
                ByOps{[](const Back& k) { return Grads{bend(k.g, k.result, 0)}; }}, Scaling::each());
}

Tensor leaky_relu(const Tensor& x, double slope) {
  Tensor value = map("leaky_relu", x, Zero::kept, [slope](auto v) { return v > 0 ? v : v * decltype(v)(slope); });
  return record("leaky_relu", value, {x}, saved(x), ByOps{[slope](const Back& k) { return Grads{bend(k.g, k.saved[0], slope)}; }},
                Scaling::each());
}

Tensor gelu(const Tensor& x) {
  if (!is_float(x.dtype())) fail("gelu: needs a floating type, got {}; convert with to()", describe(x));
  Tensor value = Tensor::empty(x.shape(), x.dtype(), x.layout());
  visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    gelu(int64_t(value.storage()->bytes() / sizeof(T)), static_cast<const T*>(x.raw()), static_cast<T*>(value.raw()));
  });
  return record("gelu", value, {x}, saved(x), ByOps{[](const Back& k) { return Grads{gelu_gradient(k.g, k.saved[0])}; }},
                Scaling::never());
}

// (x s)' = s + x s (1 - s) = s + y (1 - s)
Tensor silu(const Tensor& x) {
  return record("silu", map("silu", x, Zero::kept, [](auto v) { return v * logistic(v); }), {x}, saved(x).and_result(),
                ByOps{[](const Back& k) {
                  Tensor s = sigmoid(k.saved[0]);
                  return Grads{k.g * (s + k.result - k.result * s)};
                }},
                Scaling::never());
}

}  // namespace az
