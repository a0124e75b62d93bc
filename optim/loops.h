#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/base/threads.h"
#include "core/tensor/dtype.h"

// Loops over plain memory whose results do not depend on the number of threads.
namespace az::optim {

constexpr int64_t chunk_length = 16384;

// Calls body(begin, length) on every chunk of [0, count), in parallel; the chunks depend on count alone.
inline void for_chunks(int64_t count, const std::function<void(int64_t begin, int64_t length)>& body) {
  parallel_for((count + chunk_length - 1) / chunk_length, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) body(i * chunk_length, std::min(chunk_length, count - i * chunk_length));
  });
}

// The sum of part(begin, length) over the chunks of [0, count), the same on any number of threads.
template <class Sum, class F> Sum sum_over(int64_t count, const F& part) {
  std::vector<Sum> sums(size_t((count + chunk_length - 1) / chunk_length));
  for_chunks(count, [&](int64_t begin, int64_t length) { sums[size_t(begin / chunk_length)] = part(begin, length); });
  Sum all{};
  for (const Sum& sum : sums) all += sum;
  return all;
}

// Calls f with a zero of the type, which is f32 or f64.
template <class F> auto with_type(DType type, const F& f) { return type == DType::f64 ? f(double{}) : f(float{}); }

// Sums of products of a weight p, its gradient g and a direction d. In long double, as a double does not hold the squares of
// all doubles.
struct RowSums {
  long double pg = 0, gg = 0, pp = 0, pd = 0;
  void operator+=(const RowSums& other) {
    pg += other.pg;
    gg += other.gg;
    pp += other.pp;
    pd += other.pd;
  }
};

// Sums in the wider type, in an order that n alone fixes: by lanes, so that they fill a vector register.
template <class T> [[gnu::always_inline]] inline RowSums row_sums(int64_t n, const T* p, const T* g, const T* d) {
  constexpr int lanes = 16;
  Wider<T> pg[lanes] = {}, gg[lanes] = {}, pp[lanes] = {}, pd[lanes] = {};
  auto add = [&](int lane, int64_t i) __attribute__((always_inline)) {
    const Wider<T> x = p[i], y = g[i], z = d[i];
    pg[lane] += x * y;
    gg[lane] += y * y;
    pp[lane] += x * x;
    pd[lane] += x * z;
  };
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (int lane = 0; lane < lanes; ++lane) add(lane, i + lane);
  }
  for (int lane = 0; i < n; ++i, ++lane) add(lane, i);
  RowSums sums;
  for (int lane = 0; lane < lanes; ++lane) sums += {.pg = pg[lane], .gg = gg[lane], .pp = pp[lane], .pd = pd[lane]};
  return sums;
}

}  // namespace az::optim
