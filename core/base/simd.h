#pragma once

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

// Compiles a loop for several instruction sets and picks one when the program starts (GCC function multiversioning).
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define AZ_MULTIVERSION __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define AZ_MULTIVERSION
#endif
// Goes on what such a loop calls: only what is inlined is compiled for its instruction set. AZ_INLINED goes on lambdas.
#define AZ_INLINED __attribute__((always_inline))
#define AZ_INLINE inline AZ_INLINED
// Goes before a loop whose steps read nothing that another one writes, though arrays may be the same.
#if defined(__GNUC__) && !defined(__clang__)
#define AZ_INDEPENDENT _Pragma("GCC ivdep")
#else
#define AZ_INDEPENDENT
#endif

// Compiles one function for AVX-512, or for AVX2, whatever the processor; who calls it asks simd_width() first, which looks
// for each feature that is named here.
#if defined(__x86_64__) && defined(__GNUC__)
#define AZ_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define AZ_AVX2 __attribute__((target("avx2,fma")))
#else
#define AZ_AVX512
#define AZ_AVX2
#endif

namespace az {

// Stores 16 bytes past the caches: a line of memory of which all is stored so, one piece after another, is not read before.
// `to` is aligned to 16 bytes. stream_end() comes before other threads may read. On other processors than x86-64 a store like
// any other.
AZ_INLINE void stream_16(void* to, const void* from) {
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)  // which would not see it
  _mm_stream_ps(static_cast<float*>(to), _mm_loadu_ps(static_cast<const float*>(from)));
#else
  __builtin_memcpy(to, from, 16);
#endif
}
AZ_INLINE void stream_end() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

// Floats in the widest vector that this processor computes with: 16, 8 or 4.
inline int simd_width() {
#if defined(__x86_64__) && defined(__GNUC__)
  static const bool is_8 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  static const bool is_16 = is_8 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return is_16 ? 16 : is_8 ? 8 : 4;
#else
  return 4;
#endif
}

// Is defined where loops that add up products of bf16 numbers are compiled. Clang takes the instructions only in functions that
// are compiled for them by name, into which nothing is inlined that is not.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define AZ_BF16_PRODUCTS
#endif
// Says whether this processor runs them (AVX-512 bf16).
inline bool multiplies_bf16() {
#if defined(AZ_BF16_PRODUCTS)
  static const bool does = simd_width() == 16 && __builtin_cpu_supports("avx512bf16");
  return does;
#else
  return false;
#endif
}

// Calls Kernel::run<W>(...), which is inlined, compiled for vectors of so many floats.
template <class Kernel, class... Args> AZ_AVX512 void run_in_16(Args... args) { Kernel::template run<16>(args...); }
template <class Kernel, class... Args> AZ_AVX2 void run_in_8(Args... args) { Kernel::template run<8>(args...); }
template <class Kernel, class... Args> void run_in_4(Args... args) { Kernel::template run<4>(args...); }
template <class Kernel, class... Args> void run_at_width(int width, Args... args) {
  if (width == 16) return run_in_16<Kernel>(args...);
  if (width == 8) return run_in_8<Kernel>(args...);
  run_in_4<Kernel>(args...);
}

}  // namespace az
