#include "core/ops/elementwise.h"

#include <cmath>
#include <functional>

#include "core/kernels/vector.h"
#include "core/ops/chain.h"
#include "core/tensor/create.h"

namespace az {
namespace {

template <class F> Tensor compare(const Shape& shape, const Tensor& a, const Tensor& b, F f) {
  Tensor pa = a.detach().plain(), pb = b.detach().plain();
  return visit(a.dtype(), [&](auto zero) { return zip<uint8_t, decltype(zero)>(pa, pb, shape, f); });
}

// 1 where a wins, 1/2 where they are equal: each side's share of the gradient of maximum(a, b).
Tensor share(const Tensor& a, const Tensor& b, DType type) {
  return (greater(a, b).to(type) + greater_equal(a, b).to(type)) * 0.5;
}

// -g a / b^2
Tensor div_gradient(const Tensor& g, const Tensor& a, const Tensor& b) {
  Tensor value = map_triple(g, a, b, [](auto up, auto x, auto y) AZ_INLINED { return -(up * x) / (y * y); });
  return record("div_gradient", value, {g, a, b}, saved(g, a, b), ByOps{[](const Back& k) {
                  const Tensor &up = k.saved[0], &x = k.saved[1], &y = k.saved[2];
                  return Grads{k.needs(0) ? div_gradient(k.g, x, y) : Tensor(), k.needs(1) ? neg(k.g * up / y / y) : Tensor(),
                               k.needs(2) ? div_gradient(k.g * up, x, y) / y * -2 : Tensor()};
                }});
}

// g a / (a^2 + b^2); of a / (a^2 + b^2), d/da is (b^2 - a^2) / (a^2 + b^2)^2 and d/db is -2 a b / (a^2 + b^2)^2.
Tensor atan2_gradient(const Tensor& g, const Tensor& a, const Tensor& b) {
  Tensor value = map_triple(g, a, b, [](auto up, auto x, auto y) AZ_INLINED { return up * (x / (x * x + y * y)); });
  return record("atan2_gradient", value, {g, a, b}, saved(g, a, b), ByOps{[](const Back& k) {
                  const Tensor &x = k.saved[1], &y = k.saved[2], square = x * x + y * y;
                  const Tensor factor = k.g * k.saved[0] / square / square;
                  return Grads{k.needs(0) ? atan2_gradient(k.g, x, y) : Tensor(),
                               k.needs(1) ? factor * (y * y - x * x) : Tensor(), k.needs(2) ? factor * (x * y) * -2 : Tensor()};
                }});
}

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

Tensor sub(const Tensor& a, const Tensor& b) {
  return record("sub", arithmetic("sub", a, b, [](auto x, auto y) { return x - y; }), {a, b}, saved(), ByOps{[](const Back& k) {
                  return Grads{k.g, k.needs(1) ? neg(k.g) : Tensor()};
                }},
                Homogeneity::sum());
}

Tensor mul(const Tensor& a, const Tensor& b) {
  return record("mul", arithmetic("mul", a, b, [](auto x, auto y) { return x * y; }), {a, b}, saved(a, b),
                ByOps{[](const Back& k) {
                  return Grads{k.needs(0) ? k.g * k.saved[1] : Tensor(), k.needs(1) ? k.g * k.saved[0] : Tensor()};
                }},
                Homogeneity::product());
}

// d(a/b) = da/b - (a/b) db/b
Tensor div(const Tensor& a, const Tensor& b) {
  if (!is_float(a.dtype())) fail("div: needs floating types, got {} and {}", describe(a), describe(b));
  Tensor value = arithmetic("div", a.plain(), b.plain(), [](auto x, auto y) { return x / y; });
  return record("div", value, {a, b}, saved(a, b), ByOps{[](const Back& k) {
                  return Grads{k.needs(0) ? k.g / k.saved[1] : Tensor(),
                               k.needs(1) ? div_gradient(k.g, k.saved[0], k.saved[1]) : Tensor()};
                }},
                Homogeneity::quotient());
}

Tensor maximum(const Tensor& a, const Tensor& b) {
  Tensor value = arithmetic("maximum", a, b, [](auto x, auto y) { return x > y || x != x ? x : y; });
  return record("maximum", value, {a, b}, saved(a, b), ByOps{[](const Back& k) {
                  Tensor to_a = k.g * share(k.saved[0], k.saved[1], k.g.dtype());
                  return Grads{to_a, k.g - to_a};
                }},
                Homogeneity::choice());
}

Tensor minimum(const Tensor& a, const Tensor& b) {
  Tensor value = arithmetic("minimum", a, b, [](auto x, auto y) { return x < y || x != x ? x : y; });
  return record("minimum", value, {a, b}, saved(a, b), ByOps{[](const Back& k) {
                  Tensor to_b = k.g * share(k.saved[0], k.saved[1], k.g.dtype());
                  return Grads{k.g - to_b, to_b};
                }},
                Homogeneity::choice());
}

// d atan2(y, x) = (x dy - y dx) / (x^2 + y^2)
Tensor atan2(const Tensor& y, const Tensor& x) {
  if (!is_float(y.dtype())) fail("atan2: needs floating types, got {} and {}", describe(y), describe(x));
  Tensor value = arithmetic("atan2", y, x, [](auto a, auto b) { return std::atan2(a, b); });
  return record("atan2", value, {y, x}, saved(y, x), ByOps{[](const Back& k) {
                  return Grads{k.needs(0) ? atan2_gradient(k.g, k.saved[1], k.saved[0]) : Tensor(),
                               k.needs(1) ? neg(atan2_gradient(k.g, k.saved[0], k.saved[1])) : Tensor()};
                }},
                Homogeneity::never());
}

Tensor where(const Tensor& mask, const Tensor& a, const Tensor& b) {
  if (mask.dtype() != DType::u8) fail("where: the mask is {}, not u8", describe(mask));
  Shape shape = broadcast(mask.shape(), broadcast_of("where", a, b), "where");
  Tensor pm = mask.plain(), pa = a.plain(), pb = b.plain(), value = Tensor::empty(shape, a.dtype());
  Walk walk(shape, {broadcast_strides(mask.shape(), shape), broadcast_strides(a.shape(), shape),
                    broadcast_strides(b.shape(), shape), shape.strides()});
  visit(a.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const uint8_t* m = pm.data<uint8_t>();
    const T *x = pa.data<T>(), *y = pb.data<T>();
    T* out = value.mutable_data<T>();
    walk.run([&](const Walk::Offsets& at, int64_t count) {
      for (int64_t i = 0; i < count; ++i) {
        out[at[3] + i] = m[at[0] + i * walk.step[0]] ? x[at[1] + i * walk.step[1]] : y[at[2] + i * walk.step[2]];
      }
    });
  });
  // A constant 0 stays 0 at any scale, so that it is left out of what the result's scale depends on.
  const auto varying = [](const Tensor& x) { return x.numel() == 1 && !x.requires_grad() && x.item() == 0 ? Tensor() : x; };
  return record("where", value, {varying(a), varying(b)}, saved(mask), ByOps{[](const Back& k) {
                  Tensor none = zeros({}, k.g.dtype());
                  return Grads{k.needs(0) ? where(k.saved[0], k.g, none) : Tensor(),
                               k.needs(1) ? where(k.saved[0], none, k.g) : Tensor()};
                }},
                Homogeneity::choice());
}

Tensor equal(const Tensor& a, const Tensor& b) { return compare(broadcast_of("equal", a, b), a, b, std::equal_to()); }
Tensor not_equal(const Tensor& a, const Tensor& b) {
  return compare(broadcast_of("not_equal", a, b), a, b, std::not_equal_to());
}
Tensor less(const Tensor& a, const Tensor& b) { return compare(broadcast_of("less", a, b), a, b, std::less()); }
Tensor less_equal(const Tensor& a, const Tensor& b) {
  return compare(broadcast_of("less_equal", a, b), a, b, std::less_equal());
}
Tensor greater(const Tensor& a, const Tensor& b) { return compare(broadcast_of("greater", a, b), b, a, std::less()); }
Tensor greater_equal(const Tensor& a, const Tensor& b) {
  return compare(broadcast_of("greater_equal", a, b), b, a, std::less_equal());
}

// Functions of one tensor and perhaps a number.

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
