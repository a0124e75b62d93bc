#pragma once

// Compiles a loop for several instruction sets and picks one when the program starts (GCC function multiversioning).
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define AZ_MULTIVERSION __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define AZ_MULTIVERSION
#endif
// For what such a loop calls: only what is inlined is compiled for its instruction set. AZ_INLINED goes on lambdas.
#define AZ_INLINED __attribute__((always_inline))
#define AZ_INLINE inline AZ_INLINED

// Compiles one function for AVX-512, or for AVX2, whatever the processor; who calls it asks simd_width() first, which looks for
// each feature that is named here.
#if defined(__x86_64__) && defined(__GNUC__)
#define AZ_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define AZ_AVX2 __attribute__((target("avx2,fma")))
#else
#define AZ_AVX512
#define AZ_AVX2
#endif

namespace az {

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
