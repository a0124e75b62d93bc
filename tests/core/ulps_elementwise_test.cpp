#include <functional>
#include <limits>

#include "tests/core/ulps.h"

using namespace az;
using namespace az::test;

namespace {

// Where a function turns, an exponential vanishes in one of the types, or a formula is known to change over.
const Reals turns{0.03125, 0.25,
                  0.5,     0.7517915246935645,
                  1,       1.2784645427610738,
                  2,       12.9,
                  13.2,    20.5,
                  31.125,  37,
                  52.02,   87.3,
                  88,      88.7228,
                  89,      103.9,
                  104,     104.5,
                  200,     256,
                  600,     708.4,
                  709,     709.79,
                  745,     745.2,
                  746,     1e4,
                  3e7,     1e20};

// Both signs of: numbers from the smallest to the largest, about `each` a power of two; the neighbours of every turn; zero and
// what is no number. Of bf16, all that there are.
template <class T> Reals magnitudes(int each) {
  Reals points;
  if (std::is_same_v<T, bf16> && each > 1) {
    for (int bits = 0; bits < 1 << 16; ++bits) {
      bf16 value;
      value.bits = uint16_t(bits);
      points.push_back(float(value));
    }
    return points;
  }
  using F = Format<T>;
  Philox random(7);
  auto add = [&](Real x) {
    for (const Real v : {x, -x}) points.push_back(rounded<T>(v));
  };
  for (int e = F::lowest - F::digits + 1; e < F::highest; ++e) {
    for (int i = 0; i < (e > -12 && e < 11 ? 32 * each : each); ++i) add(std::ldexp(Real(1 + random.uniform()), e));
  }
  for (const Real turn : turns) {
    for (int i = -each; i <= each; ++i) add(turn * (1 + Real(i) * std::ldexp(Real(1), 1 - F::digits)));
  }
  for (const Real special : {Real(0), Real(INFINITY), Real(NAN)}) add(special);
  return points;
}

struct Function {
  const char* name;
  std::function<Tensor(const Tensor&)> op;
  Real (*value)(Real), (*slope)(Real);
  double bf16_slope = 0.51;  // ulps; of values, 0.51 in bf16; 10 in f32 and f64, as the exponentials of vectors have up to 4
  bool scaled = false;       // whether the gradient keeps its digits where it is the product of a tiny slope and a large number
};

// x f(x) at -infinity, where f is 0.
Real times(Real x, Real f) { return x == -INFINITY ? 0 : x * f; }
Real logistic(Real x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }
Real normal(Real x) { return std::erfc(-x * std::sqrt(0.5L)) / 2; }
Real density(Real x) { return std::exp(x * x * -0.5L) * 0.398942280401432677939946059934L; }

// s(x) (1 + x s(-x)); about its zero z, where exp(z) = c = -1 - z, 1 + x + exp(x) = t + c (exp(t) - 1) with t = x - z. The
// second number is what c is less than the first.
Real silu_slope(Real x) {
  if (std::isinf(x)) return x > 0;
  constexpr Real c = 0.278464542761073795116731274812416L, less = 7.372535789436L * 1e-21L;
  const Real t = (x + 1 + c) - less, sum = std::abs(t) < 0.25L ? t + c * std::expm1(t) : 1 + x + std::exp(x);
  return x < 0 ? logistic(x) * logistic(-x) * sum : logistic(x) * (1 + x * logistic(-x));
}
Real gelu_slope(Real x) { return std::isinf(x) ? Real(x > 0) : normal(x) + x * density(x); }

std::vector<Function> functions() {
  return {
      {"exp", az::exp, [](Real x) { return std::exp(x); }, [](Real x) { return std::exp(x); }},
      {"log", az::log, [](Real x) { return std::log(x); }, [](Real x) { return 1 / x; }},
      // g / (2 y), of a y that is rounded
      {"sqrt", az::sqrt, [](Real x) { return std::sqrt(x); }, [](Real x) { return 0.5L / std::sqrt(x); }, 1.51},
      {"sin", az::sin, [](Real x) { return std::sin(x); }, [](Real x) { return std::cos(x); }},
      {"cos", az::cos, [](Real x) { return std::cos(x); }, [](Real x) { return -std::sin(x); }},
      {"tanh", az::tanh, [](Real x) { return std::tanh(x); }, [](Real x) { return 4 * logistic(2 * x) * logistic(-2 * x); },
       0.51, true},
      {"sigmoid", az::sigmoid, logistic, [](Real x) { return logistic(x) * logistic(-x); }, 0.51, true},
      {"silu", az::silu, [](Real x) { return times(x, logistic(x)); }, silu_slope, 0.51, true},
      {"gelu", az::gelu, [](Real x) { return times(x, normal(x)); }, gelu_slope, 0.51, true},
      {"abs", az::abs, [](Real x) { return std::abs(x); }, [](Real x) { return Real((x > 0) - (x < 0)); }},
      {"relu", az::relu, [](Real x) { return x < 0 ? 0 : x; }, [](Real x) { return Real(x > 0); }},
      {"leaky_relu", [](const Tensor& x) { return leaky_relu(x, 0.25); }, [](Real x) { return x < 0 ? x / 4 : x; },
       [](Real x) { return x > 0 ? 1 : 0.25L; }},
      {"clamp", [](const Tensor& x) { return clamp(x, {.min = -2, .max = 256}); },
       [](Real x) { return x < -2    ? -2
                           : x > 256 ? 256
                                     : x; }, [](Real x) { return Real(x >= -2 && x <= 256); }},
      {"pow 1.7", [](const Tensor& x) { return pow(x, 1.7); }, [](Real x) { return std::pow(x, Real(1.7)); },
       [](Real x) { return 1.7 * std::pow(x, 1.7 - 1.0L); }},
      {"pow 3", [](const Tensor& x) { return pow(x, 3); }, [](Real x) { return x * x * x; }, [](Real x) { return 3 * x * x; }},
      {"pow 2", [](const Tensor& x) { return pow(x, 2); }, [](Real x) { return x * x; }, [](Real x) { return 2 * x; }},
      {"pow -1", [](const Tensor& x) { return pow(x, -1); }, [](Real x) { return 1 / x; }, [](Real x) { return -1 / (x * x); }},
      {"pow -0.5", [](const Tensor& x) { return pow(x, -0.5); }, [](Real x) { return std::pow(x, -0.5L); },
       [](Real x) { return -0.5L * std::pow(x, -1.5L); }},
      {"pow 0.001", [](const Tensor& x) { return pow(x, 0.001); }, [](Real x) { return std::pow(x, Real(0.001)); },
       [](Real x) { return 0.001 * std::pow(x, 0.001 - 1.0L); }},
  };
}

template <class T> void sweep(const Function& f, Real upstream) {
  constexpr bool is_bf16 = std::is_same_v<T, bf16>;
  const Reals points = magnitudes<T>(8);
  const Shape shape{int64_t(points.size())};
  const Tensor x = tensor_of<T>(shape, points).set_requires_grad(), y = f.op(x);
  y.backward(full(shape, double(upstream), dtype_of<T>));
  const Reals values = reals_of(y), slopes = reals_of(x.grad());
  Worst value, slope;
  for (size_t i = 0; i < points.size(); ++i) {
    const Real at = points[i];
    value.see<T>(at, values[i], f.value(at));
    // f64's gradient of gelu is the sum of its two terms in long double: about its zero it has their digits less 11.
    const bool is_far = !std::is_same_v<T, double> || std::string(f.name) != "gelu" || std::abs(at + 0.75L) > 0.1L;
    slope.see<T>(at, slopes[i], upstream * f.slope(at), is_far ? 0 : std::ldexp(upstream, -11));
  }
  const std::string type = name_of(dtype_of<T>), times = upstream == 1 ? "" : " times " + std::to_string(double(upstream));
  check_worst(type + " " + f.name, value, is_bf16 ? 0.51 : 10);
  check_worst(type + " gradient of " + f.name + times, slope, is_bf16 ? f.bf16_slope : 10);
}

}  // namespace

TEST_CASE("ulps: every function and its gradient, from the smallest numbers to the largest") {
  for (const Function& f : functions()) {
    for (const Real upstream : f.scaled ? Reals{1, std::ldexp(Real(1), 66), std::ldexp(Real(1), -66)} : Reals{1}) {
      sweep<bf16>(f, upstream);
      sweep<float>(f, upstream);
      sweep<double>(f, upstream);
    }
  }
}

namespace {

struct Pair {
  const char* name;
  Tensor (*op)(const Tensor&, const Tensor&);
  Real (*value)(Real, Real), (*to_a)(Real, Real), (*to_b)(Real, Real);
};

template <class T> void sweep(const Pair& f) {
  Reals some;
  for (const Real v : magnitudes<T>(1)) {
    if (std::isfinite(v) && v != 0) some.push_back(v);
  }
  // Every number with one of a few that are far apart from one to the next.
  Reals a, b;
  const size_t stride = some.size() / 41 | 1;
  for (size_t i = 0; i < some.size(); ++i) {
    for (size_t j = i % stride; j < some.size(); j += stride) {
      a.push_back(some[i]);
      b.push_back(some[j]);
    }
  }
  const Shape shape{int64_t(a.size())};
  const Tensor x = tensor_of<T>(shape, a).set_requires_grad(), y = tensor_of<T>(shape, b).set_requires_grad(), z = f.op(x, y);
  z.backward(full(shape, 1, dtype_of<T>));
  const Reals values = reals_of(z), to_a = reals_of(x.grad()), to_b = reals_of(y.grad());
  Worst value, slope_a, slope_b;
  for (size_t i = 0; i < a.size(); ++i) {
    value.see<T>(b[i], values[i], f.value(a[i], b[i]));
    slope_a.see<T>(b[i], to_a[i], f.to_a(a[i], b[i]));
    slope_b.see<T>(b[i], to_b[i], f.to_b(a[i], b[i]));
  }
  const std::string name = std::string(name_of(dtype_of<T>)) + " " + f.name;
  const double bound = std::is_same_v<T, bf16> ? 0.51 : 4;
  check_worst(name, value, bound);
  check_worst(name + ", gradient of the first", slope_a, bound);
  check_worst(name + ", gradient of the second", slope_b, bound);
}

}  // namespace

TEST_CASE("ulps: functions of two and their gradients, of numbers of any sizes") {
  const std::vector<Pair> pairs{
      {"mul", az::mul, [](Real a, Real b) { return a * b; }, [](Real, Real b) { return b; }, [](Real a, Real) { return a; }},
      {"div", az::div, [](Real a, Real b) { return a / b; }, [](Real, Real b) { return 1 / b; },
       [](Real a, Real b) { return -a / b / b; }},
      {"atan2", az::atan2, [](Real a, Real b) { return std::atan2(a, b); }, [](Real a, Real b) { return b / (a * a + b * b); },
       [](Real a, Real b) { return -a / (a * a + b * b); }},
  };
  for (const Pair& pair : pairs) {
    sweep<bf16>(pair);
    sweep<float>(pair);
    sweep<double>(pair);
  }
}
