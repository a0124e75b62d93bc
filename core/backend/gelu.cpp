#include <cmath>
#include <numbers>

#include "core/backend/lanes.h"
#include "core/backend/vector.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // as in lanes.h

namespace az {
namespace {

constexpr int64_t grain = 1 << 14;

// exp(-x^2 / 2) and Phi(x), the normal distribution's function, each within a few roundings of itself for |x| < 12.9.
struct Normal {
  Lanes bell, below;
};

// Phi(-a) = exp(-a^2 / 2) t P(t) for a >= 0, t = 1 / (1 + 0.28 a); P is the polynomial of degree 8 whose largest relative error
// on [0, 13.2] is least (5e-8). Beyond, Phi(-a) is below the smallest normal number.
AZ_INLINE Normal normal(const Lanes& x) {
  const Lanes size = Lanes(LaneBits(x) & 0x7fffffff), a = size < 13.2f ? size : Lanes{} + 13.2f;
  // The square of the upper 12 bits is exact; what the rest adds to it would be lost in -a^2 / 2.
  const Lanes head = Lanes(LaneBits(a) & 0xfffff000), y = head * head * -0.5f, rest = (a - head) * (a + head) * -0.5f;
  // exp(y + rest) = 2^n exp(r), |r| < 0.36; adding 1.5 * 2^23 rounds to n and leaves it in the lowest bits.
  const Lanes shifted = y * 1.44269504f + 12582912.0f, n = shifted - 12582912.0f;
  const Lanes r = (y - n * 0.693359375f) + n * 2.12194440e-4f + rest;
  const Lanes q = (((1.3813145e-3f * r + 8.369419e-3f) * r + 4.1668456e-2f) * r + 1.6666515e-1f) * r + 0.5f;
  const Lanes exp_r = 1.0f + (r + r * r * q);
  const Lanes bell = size < 13.2f ? Lanes(LaneBits(exp_r) + (LaneBits(shifted) << 23)) : Lanes{};
  const Lanes t = 1.0f / (1.0f + 0.28f * a);
  Lanes p = 2.2306126e-2f * t - 8.09675e-2f;
  p = p * t + 6.4736746e-2f;
  p = p * t + 2.6723702e-2f;
  p = p * t + 4.9111463e-2f;
  p = p * t + 9.38876e-2f;
  p = p * t + 1.00455485e-1f;
  p = p * t + 1.1206328e-1f;
  p = p * t + 1.1168312e-1f;
  const Lanes tail = bell * (p * t);
  return {bell, x > 0 ? 1.0f - tail : tail};
}

template <class T> AZ_INLINE void run(int64_t count, const T* x, T* y) {
  each_lanes(count, [&](int64_t i, auto part) AZ_INLINED {
    const Lanes v = load(x + i, part);
    store(y + i, part, v * normal(v).below);
  });
}
template <class T> AZ_INLINE void run_backward(int64_t count, const T* x, const T* dy, T* dx) {
  each_lanes(count, [&](int64_t i, auto part) AZ_INLINED {
    const Lanes v = load(x + i, part);
    const Normal at = normal(v);
    store(dx + i, part, load(dy + i, part) * (at.below + v * 0.398942280f * at.bell));
  });
}

AZ_MULTIVERSION void range(int64_t n, const float* x, float* y) { run(n, x, y); }
AZ_MULTIVERSION void range(int64_t n, const bf16* x, bf16* y) { run(n, x, y); }
AZ_MULTIVERSION void backward_range(int64_t n, const float* x, const float* dy, float* dx) { run_backward(n, x, dy, dx); }
AZ_MULTIVERSION void backward_range(int64_t n, const bf16* x, const bf16* dy, bf16* dx) { run_backward(n, x, dy, dx); }

// For f64, the formulas as they are.
double below(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }
void range(int64_t n, const double* x, double* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * below(x[i]);
}
void backward_range(int64_t n, const double* x, const double* dy, double* dx) {
  constexpr double peak = std::numbers::inv_sqrtpi / std::numbers::sqrt2;
  for (int64_t i = 0; i < n; ++i) dx[i] = dy[i] * (below(x[i]) + x[i] * peak * std::exp(-x[i] * x[i] / 2));
}

}  // namespace

template <class T> void gelu(int64_t count, const T* x, T* y) {
  parallel_for(count, grain, [=](int64_t begin, int64_t end) { range(end - begin, x + begin, y + begin); });
}
template <class T> void gelu_backward(int64_t count, const T* x, const T* dy, T* dx) {
  parallel_for(count, grain, [=](int64_t begin, int64_t end) { backward_range(end - begin, x + begin, dy + begin, dx + begin); });
}

template void gelu(int64_t, const float*, float*);
template void gelu(int64_t, const bf16*, bf16*);
template void gelu(int64_t, const double*, double*);
template void gelu_backward(int64_t, const float*, const float*, float*);
template void gelu_backward(int64_t, const bf16*, const bf16*, bf16*);
template void gelu_backward(int64_t, const double*, const double*, double*);

}  // namespace az
