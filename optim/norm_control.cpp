#include "optim/norm_control.h"

#include <algorithm>
#include <cmath>

#include "core/base/simd.h"
#include "optim/loops.h"

namespace az::optim {
namespace {

AZ_MULTIVERSION long double squares(int64_t n, const float* x) { return row_sums(n, x, x, x).gg; }
AZ_MULTIVERSION long double squares(int64_t n, const double* x) { return row_sums(n, x, x, x).gg; }

// Returns the norm of x, the same number on any number of threads.
template <class T> long double length_of(const Tensor& x) {
  const T* values = x.data<T>();
  return std::sqrt(
      sum_over<long double>(x.numel(), [&](int64_t begin, int64_t length) { return squares(length, values + begin); }));
}

}  // namespace

double norm_of(const Tensor& x) {
  return with_type(x.dtype(), [&](auto zero) { return double(length_of<decltype(zero)>(x)); });
}

void set_norm(const Tensor& weight, double norm) {
  with_type(weight.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const long double before = length_of<T>(weight);
    if (!(before > 0 && norm > 0)) return;
    const auto factor = Wider<T>(norm / before);
    T* w = weight.mutable_data<T>();
    for_chunks(weight.numel(), [&](int64_t begin, int64_t length) {
      for (int64_t i = begin; i < begin + length; ++i) w[i] = T(w[i] * factor);
    });
  });
}

double cosine_of(const Tensor& a, const Tensor& b) {
  return with_type(a.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T *x = a.data<T>(), *y = b.data<T>();
    const auto product = sum_over<long double>(a.numel(), [&](int64_t begin, int64_t count) {
      long double sum = 0;
      for (int64_t i = begin; i < begin + count; ++i) sum += (long double)(x[i]) * y[i];
      return sum;
    });
    return double(product / (length_of<T>(a) * length_of<T>(b)));
  });
}

void take_step(const Tensor& weight, const Tensor& step, const StepLength& to) {
  with_type(weight.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const long double length = length_of<T>(step), wanted = to.trust_ratio * length_of<T>(weight);
    const bool has_length = length > 0 && std::isfinite(length) && wanted > 0;
    const auto factor = Wider<T>(has_length ? to.lr * wanted / length : to.lr);
    T* w = weight.mutable_data<T>();
    const T* d = step.data<T>();
    for_chunks(weight.numel(), [&](int64_t begin, int64_t count) {
      for (int64_t i = begin; i < begin + count; ++i) w[i] = T(w[i] + factor * d[i]);
    });
  });
}

}  // namespace az::optim
