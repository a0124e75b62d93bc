#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#include "core/base/simd.h"
#include "core/base/threads.h"
#include "core/tensor/dtype.h"

// Several numbers at a time, computed in f32; bf16 is widened when loaded and rounded to nearest even when stored. Lanes are
// sixteen, for loops marked AZ_MULTIVERSION: one AVX-512 register, two of AVX or four of SSE. No function here is ever called
// out of line, so it matters to nobody how such vectors are passed.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

namespace az {

// Vectors of W numbers.
template <int W> struct VectorsOf {
  typedef float Floats __attribute__((vector_size(4 * W)));
  typedef uint32_t Bits __attribute__((vector_size(4 * W)));
  typedef uint16_t Halves __attribute__((vector_size(2 * W)));
};
template <int W> using Vector = typename VectorsOf<W>::Floats;

template <int W> AZ_INLINE Vector<W> load(const float* from) {
  Vector<W> v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
template <int W> AZ_INLINE Vector<W> load(const bf16* from) {
  typename VectorsOf<W>::Halves half;
  std::memcpy(&half, from, sizeof half);
  return Vector<W>(__builtin_convertvector(half, typename VectorsOf<W>::Bits) << 16);
}
template <class V> AZ_INLINE void store(float* to, const V& v) { std::memcpy(to, &v, sizeof v); }
template <class V> AZ_INLINE void store(bf16* to, const V& v) {
  using Vectors = VectorsOf<sizeof(V) / sizeof(float)>;
  using Bits = typename Vectors::Bits;
  const Bits bits = Bits(v), rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16, quiet = (bits >> 16) | 0x40;
  const auto half = __builtin_convertvector(v != v ? quiet : rounded, typename Vectors::Halves);
  std::memcpy(static_cast<void*>(to), &half, sizeof half);
}

// Does what store() does, but past the caches (stream_16); vectors of 8 bytes are given to store().
template <class T, class V> AZ_INLINE void stream(T* to, const V& v) {
  constexpr size_t bytes = sizeof(V) / sizeof(float) * sizeof(T);
  if constexpr (bytes % 16 != 0) {
    store(to, v);
  } else {
    T narrow[sizeof(V) / sizeof(float)];
    store(narrow, v);
    for (size_t at = 0; at < bytes; at += 16) stream_16(reinterpret_cast<char*>(to) + at, reinterpret_cast<char*>(narrow) + at);
  }
}

// Two numbers of bf16 in each of sixteen lanes, the first in the lower half. Loops that use them run only where
// multiplies_bf16(). The instructions are named because the loops are compiled for any AVX-512.
using Pairs = VectorsOf<16>::Bits;
AZ_INLINE VectorsOf<16>::Halves rounded(const Vector<16>& v) {
  VectorsOf<16>::Halves half;
#if defined(AZ_BF16_PRODUCTS)
  asm("vcvtneps2bf16 %1, %0" : "=v"(half) : "v"(v));
#else
  store(reinterpret_cast<bf16*>(&half), v);
#endif
  return half;
}
AZ_INLINE Pairs pairs(const Vector<16>& first, const Vector<16>& second) {
  return __builtin_convertvector(rounded(first), Pairs) | __builtin_convertvector(rounded(second), Pairs) << 16;
}
// sum + a.first * b.first + a.second * b.second, each product exact, lane by lane; numbers below 2^-126 count as 0.
AZ_INLINE Vector<16> plus_products(Vector<16> sum, const Pairs& a, const Pairs& b) {
#if defined(AZ_BF16_PRODUCTS)
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  return sum;
#else
  return sum + Vector<16>(a << 16) * Vector<16>(b << 16) + Vector<16>(a & 0xffff0000) * Vector<16>(b & 0xffff0000);
#endif
}

constexpr int64_t lane_count = 16;
using Lanes = Vector<lane_count>;
using LaneBits = VectorsOf<lane_count>::Bits;
using HalfLaneBits = VectorsOf<lane_count>::Halves;
typedef double WideLanes __attribute__((vector_size(128)));
template <class T> AZ_INLINE Lanes load(const T* from) { return load<lane_count>(from); }

// How many lanes count: all of them, or the first few, where an array ends.
struct Whole {};
struct Part {
  int64_t count;
};
template <class T> AZ_INLINE Lanes load(const T* from, Whole, const Lanes& = Lanes{}) { return load(from); }
// `rest` in the lanes that do not count.
template <class T> AZ_INLINE Lanes load(const T* from, Part part, const Lanes& rest = Lanes{}) {
  Lanes v = rest;
  for (int64_t lane = 0; lane < part.count; ++lane) v[lane] = float(from[lane]);
  return v;
}
template <class T> AZ_INLINE void store(T* to, Whole, const Lanes& v) { store(to, v); }
template <class T> AZ_INLINE void store(T* to, Part part, const Lanes& v) {
  for (int64_t lane = 0; lane < part.count; ++lane) to[lane] = T(v[lane]);
}

// Calls f(first element, Whole or Part) for each sixteen of `count` elements. Write f as [&](int64_t i, auto part) AZ_INLINED
// {...}.
template <class F> AZ_INLINE void each_lanes(int64_t count, F f) {
  int64_t i = 0;
  for (; i + lane_count <= count; i += lane_count) f(i, Whole{});
  if (i < count) f(i, Part{count - i});
}

// max(v, 0), NaN kept. By bits: a choice between vectors GCC takes apart, lane by lane, where registers hold fewer.
AZ_INLINE Lanes positive_part(const Lanes& v) { return Lanes(LaneBits(v) & ~LaneBits(v < 0)); }

// `count` sums over arrays of n numbers, in f64, by eight lanes in an order fixed by n. add(sums, x...) adds to each sum what
// a number of each array gives. It gets doubles, or vectors of them: write it as [](auto* sums, const auto& x) AZ_INLINED
// {...}.
template <size_t count, class Add, class... T>
AZ_INLINE std::array<double, count> sums_in_lanes(int64_t n, Add add, const T*... x) {
  typedef double Four __attribute__((vector_size(32)));
  const auto add_four = [&](Four* sums, int64_t i) AZ_INLINED {
    add(sums, Four{double(x[i]), double(x[i + 1]), double(x[i + 2]), double(x[i + 3])}...);
  };
  Four low[count] = {}, high[count] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    add_four(low, i);
    add_four(high, i + 4);
  }
  double sums[8][count];
  const auto spread = [&]<size_t... k>(std::index_sequence<k...>) AZ_INLINED {
    for (int lane = 0; lane < 4; ++lane) ((sums[lane][k] = Four(low[k])[lane], sums[lane + 4][k] = Four(high[k])[lane]), ...);
  };
  spread(std::make_index_sequence<count>());
  for (int lane = 0; i < n; ++i, ++lane) add(sums[lane], double(x[i])...);
  std::array<double, count> all{};
  for (const auto& of_lane : sums) {
    for (size_t k = 0; k < count; ++k) all[k] += of_lane[k];
  }
  return all;
}

}  // namespace az

#pragma GCC diagnostic pop
