#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "core/base/simd.h"
#include "core/kernels/vector_math.h"

// exp(y) for y <= 0, inlined, so that GCC vectorises the loops that call it.
namespace az {

// What falls like an exponential, as first * second * second: where that underflows, these do not, and times a large number it
// need not.
template <class N> struct Falling {
  N first, second;

  AZ_INLINE N product() const { return first * second * second; }
  // v times it, for a v that may be large.
  AZ_INLINE N times(N v) const { return v * first * second * second; }
};

// exp(y + rest) for y from -210 to 0 and a rest, if any, that y is too large to hold: within a unit in the last place.
template <class... Rest> AZ_INLINE Falling<float> falling(float y, Rest... rest) {
  // 2^n exp(r), |r| < 0.36; adding 1.5 * 2^23 rounds to n and leaves it in the lowest bits.
  constexpr float rounder = 12582912.0f;
  const float shifted = y * 1.44269504f + rounder, whole = shifted - rounder;
  float r = (y - whole * 0.693359375f) + whole * 2.12194440e-4f;
  ((r += rest), ...);
  const float q = (((1.3813145e-3f * r + 8.369419e-3f) * r + 4.1668456e-2f) * r + 1.6666515e-1f) * r + 0.5f;
  const float exp_r = 1.0f + (r + r * r * q);
  // NaN makes n any number; unsigned ones wrap around.
  const auto n = std::bit_cast<uint32_t>(shifted), third = std::bit_cast<uint32_t>(whole * (1 / 3.0f) + rounder);
  const auto power_of_two = [](uint32_t exponent) AZ_INLINED { return std::bit_cast<float>((exponent << 23) + (127u << 23)); };
  return {exp_r * power_of_two(n - 2 * third), power_of_two(third)};
}
// exp(y) for y <= 0.
AZ_INLINE Falling<double> falling(double y) { return {1, std::exp(y * 0.5)}; }

// |x|, or a number where that is more at which exp(-|x|) has vanished, times any other. NaN stays.
AZ_INLINE float falling_size(float x) { return std::abs(x) > 200 ? 200 : std::abs(x); }
AZ_INLINE double falling_size(double x) { return std::abs(x) > 10000 ? 10000 : std::abs(x); }

}  // namespace az
