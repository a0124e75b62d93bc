#include <cmath>
#include <numbers>

#include "core/base/threads.h"
#include "core/kernels/exponential.h"
#include "core/kernels/vector.h"

namespace az {
namespace {

constexpr int64_t grain = 1 << 14;

// exp(-a^2 / 2). The square of the upper 12 bits is exact; what the rest adds to it would be lost beside it.
AZ_INLINE Falling<float> bell(float a) {
  const float head = std::bit_cast<float>(std::bit_cast<uint32_t>(a) & 0xfffff000);
  return falling(head * head * -0.5f, (a - head) * (a + head) * -0.5f);
}

// |x|, or 20.5 where that is less: there the bell has vanished, times any gradient. NaN stays.
AZ_INLINE float size_of_argument(float x) {
  const float size = std::abs(x);
  return size > 20.5f ? 20.5f : size;
}

// Below are, with t = 1 / (1 + a / 4), the polynomials whose largest relative error for 0 <= a <= 20.5 is least.

// Phi(-a) exp(a^2 / 2) = t P(t), P of degree 9, to 1.4e-8.
AZ_INLINE float tail(float a) {
  const float t = 1.0f / (1.0f + 0.25f * a);
  float p = 0.0190948148f * t - 0.0765790581f;
  p = p * t + 0.0843916778f;
  p = p * t - 0.0156785772f;
  p = p * t + 0.0498022781f;
  p = p * t + 0.0665215545f;
  p = p * t + 0.0790422199f;
  p = p * t + 0.0939882206f;
  p = p * t + 0.099678668f;
  p = p * t + 0.0997382082f;
  return p * t;
}

// The derivative at -a: Phi(-a) - a phi(a) = (a - z) R(t) exp(-a^2 / 2), z being where it is 0; R of degree 8, to 2.6e-8.
AZ_INLINE float slope_of_tail(float a) {
  constexpr double z = 0.7517915246935645;
  const float t = 1.0f / (1.0f + 0.25f * a);
  float p = -0.0022570533f * t + 0.031237105f;
  p = p * t - 0.0821134148f;
  p = p * t + 0.0409910507f;
  p = p * t - 0.0735358499f;
  p = p * t - 0.0391710278f;
  p = p * t - 0.0665578513f;
  p = p * t - 0.0747166827f;
  p = p * t - 0.398954254f;
  return p * ((a - float(z)) - float(z - double(float(z))));
}

AZ_INLINE float value(float x) {
  const float a = size_of_argument(x), share = tail(a);
  const Falling<float> b = bell(a);
  return x > 0 ? x * (1 - share * b.first * b.second * b.second) : -a * share * b.first * b.second * b.second;
}
AZ_INLINE float gradient(float g, float x) {
  const float a = size_of_argument(x);
  const Falling<float> b = bell(a);
  const float slope = slope_of_tail(a) * b.first;
  return x > 0 ? g * (1 - slope * b.second * b.second) : g * slope * b.second * b.second;
}

template <class T> AZ_MULTIVERSION void range(int64_t n, const T* x, T* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = T(value(float(x[i])));
}
template <class T> AZ_MULTIVERSION void backward_range(int64_t n, const T* x, const T* dy, T* dx) {
  for (int64_t i = 0; i < n; ++i) dx[i] = T(gradient(float(dy[i]), float(x[i])));
}

// For f64, the formulas as they are, in more digits; beyond 10000 nothing changes any more.
long double below(long double x) { return 0.5L * std::erfc(-x / std::numbers::sqrt2_v<long double>); }
long double bounded(double x) { return x > 1e4 ? 1e4L : x < -1e4 ? -1e4L : x; }
void range(int64_t n, const double* x, double* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] > 0 ? double(x[i] * below(x[i])) : double(bounded(x[i]) * below(x[i]));
}
void backward_range(int64_t n, const double* x, const double* dy, double* dx) {
  constexpr long double peak = std::numbers::inv_sqrtpi_v<long double> / std::numbers::sqrt2_v<long double>;
  for (int64_t i = 0; i < n; ++i) {
    const long double v = bounded(x[i]);
    dx[i] = double(dy[i] * (below(v) + v * peak * std::exp(v * v * -0.5L)));
  }
}

}  // namespace

template <class T> void gelu(int64_t count, const T* x, T* y) {
  parallel_for(count, grain, [=](int64_t begin, int64_t end) { range(end - begin, x + begin, y + begin); });
}
template <class T> void gelu_backward(int64_t count, const T* x, const T* dy, T* dx) {
  parallel_for(count, grain,
               [=](int64_t begin, int64_t end) { backward_range(end - begin, x + begin, dy + begin, dx + begin); });
}

template void gelu(int64_t, const float*, float*);
template void gelu(int64_t, const bf16*, bf16*);
template void gelu(int64_t, const double*, double*);
template void gelu_backward(int64_t, const float*, const float*, float*);
template void gelu_backward(int64_t, const bf16*, const bf16*, bf16*);
template void gelu_backward(int64_t, const double*, const double*, double*);

}  // namespace az
