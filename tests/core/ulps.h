#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/autograd/autograd.h"
#include "core/base/random.h"
#include "core/kernels/strided.h"
#include "core/ops.h"

// Results held element by element against formulas in long double, in units in the last place (ulps) of their own number type.
namespace az::test {

using Real = long double;
using Reals = std::vector<Real>;

template <class T> struct Format {
  static constexpr int digits = 8, lowest = -126, highest = 128;  // exponents of the smallest normal number and of infinity
};
template <> struct Format<float> { static constexpr int digits = 24, lowest = -126, highest = 128; };
template <> struct Format<double> { static constexpr int digits = 53, lowest = -1022, highest = 1024; };

// x as T holds it.
template <class T> Real rounded(Real x) {
  if constexpr (std::is_same_v<T, bf16>)
    return float(bf16(float(x)));
  else
    return T(x);
}

// How far `found` is from `wanted`, in ulps at the larger of `wanted` and `scale`. Infinity counts as the number after the
// largest, and zeros of both signs are equal.
template <class T> Real ulps(Real found, Real wanted, Real scale = 0) {
  using F = Format<T>;
  if (std::isnan(found) || std::isnan(wanted)) return std::isnan(found) && std::isnan(wanted) ? 0 : Real(INFINITY);
  const Real end = std::ldexp(Real(1), F::highest), w = std::clamp(wanted, -end, end);
  const Real at = std::max({std::abs(w), std::min(scale, end), std::ldexp(Real(1), F::lowest)});
  return std::abs(std::clamp(found, -end, end) - w) /
         std::ldexp(Real(1), std::min(std::ilogb(at), F::highest - 1) - F::digits + 1);
}

// The worst of many results.
struct Worst {
  Real ulps = 0, found = 0, wanted = 0, at = 0;
  template <class T> void see(Real x, Real result, Real right, Real scale = 0) {
    if (const Real error = test::ulps<T>(result, right, scale); error > ulps) *this = {error, result, right, x};
  }
  std::string str() const {
    return std::to_string(double(ulps)) + " ulps at " + write(at) + ": " + write(found) + ", not " + write(wanted);
  }

 private:
  static std::string write(Real v) {
    char text[40];
    std::snprintf(text, sizeof text, "%.12Lg", v);
    return text;
  }
};

inline void check_worst(const std::string& what, const Worst& worst, double bound) {
  CHECK_MESSAGE(worst.ulps <= bound, what << " is off by " << worst.str() << "; at most " << bound);
}

template <class T> Tensor tensor_of(const Shape& shape, const Reals& values) {
  std::vector<T> elements;
  for (const Real v : values) elements.push_back(T(Compute<T>(v)));
  return Tensor::of<T>(shape, elements);
}
inline Reals reals_of(const Tensor& x) {
  const auto values = x.detach().plain().to_vector<double>();
  return {values.begin(), values.end()};
}

}  // namespace az::test
