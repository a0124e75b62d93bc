#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <string>

#include "core/backend/info.h"
#include "core/base/error.h"
#include "core/tensor/tensor.h"

namespace az::test {

// ||a - b|| / ||b|| over all elements (||a|| where b is 0); infinite when shapes differ or a is not finite.
inline double distance(const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined() || a.shape() != b.shape()) return INFINITY;
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  double difference = 0, norm = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    difference += (x[i] - y[i]) * (x[i] - y[i]);
    norm += y[i] * y[i];
  }
  double result = std::sqrt(norm > 0 ? difference / norm : difference);
  return std::isfinite(result) ? result : INFINITY;
}

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// What the Error says that f throws.
template <class F> std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// Whether what needs bf16 arithmetic is left out here, which is said.
inline bool skipped_without_bf16() {
  if (!has_bf16()) MESSAGE("skipped: there is no bf16 arithmetic here");
  return !has_bf16();
}

// Whether what needs a limit set with ulimit -v is left out here, which is said: an emulator of the processor has none.
inline bool skipped_without_limits() {
  const bool has_none = std::system("ulimit -v 5242880 && [ \"$(ulimit -v)\" = unlimited ]") == 0;
  if (has_none) MESSAGE("skipped: a program's addresses cannot be limited here");
  return has_none;
}

}  // namespace az::test
