#pragma once

#include <cmath>

// glibc has these for whole vectors, accurate to 4 ulp; told so, GCC vectorises loops that call them. oneDNN's would not do:
// its exp and relu turn NaN into numbers.
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__)
#if __GLIBC_PREREQ(2, 35)
#define AZ_VECTOR(name)                                      \
  [[gnu::simd("notinbranch")]] double name(double) noexcept; \
  [[gnu::simd("notinbranch")]] float name##f(float) noexcept;
extern "C" {
[[gnu::simd("notinbranch")]] double pow(double, double) noexcept;
AZ_VECTOR(exp)
AZ_VECTOR(expm1)
AZ_VECTOR(log)
AZ_VECTOR(log1p)
AZ_VECTOR(sin)
AZ_VECTOR(cos)
AZ_VECTOR(tanh)
}
#undef AZ_VECTOR
#endif
#endif
