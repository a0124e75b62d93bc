#include "optim/norm_control.h"

#include <algorithm>
#include <numeric>

#include "optim/loops.h"

namespace az::optim {
namespace {

AZ_MULTIVERSION double squares(int64_t n, const float* x) { return row_sums(n, x, x, x).gg; }
AZ_MULTIVERSION double squares(int64_t n, const double* x) { return row_sums(n, x, x, x).gg; }

// The sum of part(begin, length) over the chunks of [0, count), the same on any number of threads.
template <class F> double sum_over(int64_t count, const F& part) {
  std::vector<double> sums(size_t((count + chunk_length - 1) / chunk_length));
  for_chunks(count, [&](int64_t begin, int64_t length) { sums[size_t(begin / chunk_length)] = part(begin, length); });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace

double norm_of(const Tensor& x) {
  return with_type(x.dtype(), [&](auto zero) {
    const auto* values = x.data<decltype(zero)>();
    return std::sqrt(sum_over(x.numel(), [&](int64_t begin, int64_t length) { return squares(length, values + begin); }));
  });
}

void scale_to_norm(const Tensor& weight, double norm) {
  const double before = norm_of(weight);
  if (!(before > 0 && norm > 0)) return;
  with_type(weight.dtype(), [&](auto zero) {
    auto* w = weight.mutable_data<decltype(zero)>();
    for_chunks(weight.numel(), [&](int64_t begin, int64_t length) {
      for (int64_t i = begin; i < begin + length; ++i) w[i] = decltype(zero)(double(w[i]) * (norm / before));
    });
  });
}

double lr_to_scale(double lr, const Tensor& weight, const Tensor& gradient, const Tensor& mean) {
  const double length = std::max(norm_of(gradient), mean.defined() ? norm_of(mean) : 0);
  constexpr double most = 1e30;  // which f32 holds
  return lr > 0 && length > 0 ? std::max(lr, std::min(norm_of(weight) / length, most)) : lr;
}

void scale_step(const Tensor& weight, const Tensor& before, double ratio) {
  with_type(weight.dtype(), [&](auto zero) {
    using T = decltype(zero);
    auto* w = weight.mutable_data<T>();
    const auto* old = before.data<T>();
    const auto step = [&](int64_t i) { return double(w[i]) - double(old[i]); };
    const double length = std::sqrt(sum_over(weight.numel(), [&](int64_t begin, int64_t count) {
      double sum = 0;
      for (int64_t i = begin; i < begin + count; ++i) sum += step(i) * step(i);
      return sum;
    }));
    const double factor = ratio * norm_of(before) / length;
    if (!(length > 0) || factor == 0) return;
    for_chunks(weight.numel(), [&](int64_t begin, int64_t count) {
      for (int64_t i = begin; i < begin + count; ++i) w[i] = T(double(old[i]) + factor * step(i));
    });
  });
}

}  // namespace az::optim
