#pragma once

#include <algorithm>
#include <functional>
#include <numeric>
#include <vector>

#include "core/base/error.h"
#include "core/base/threads.h"
#include "core/tensor/shape.h"

// Reductions over any axes of a row-major array.
namespace az {

// Which axes are reduced (all of them when none is named), and the shapes that leaves.
struct Reduced {
  Reduced(const char* op, const Shape& shape, const std::vector<int64_t>& axes, bool keep);
  std::vector<bool> is_reduced;
  Shape kept, result;      // with and (unless keep) without the reduced axes
  std::vector<int> place;  // where each axis lies in the result; -1: reduced
  int64_t count = 1;       // elements that become one
};

// A long axis is reduced in fixed portions, so that the order of additions never depends on the number of threads.
constexpr int64_t reduce_portion = 1 << 15;

// into[o] = f over take(from[o, 0..n)), starting at `start`.
template <class From, class Acc, class F, class Take>
void reduce_rows(const From* from, Acc* into, int64_t rows, int64_t n, Acc start, F f, Take take) {
  constexpr int lanes = 8;  // independent accumulators, for SIMD
  parallel_for(rows, std::max<int64_t>(1, reduce_portion / std::max<int64_t>(1, n)), [=](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      const From* x = from + o * n;
      Acc acc[lanes];
      std::fill_n(acc, lanes, start);
      int64_t i = 0;
      for (; i + lanes <= n; i += lanes)
        for (int lane = 0; lane < lanes; ++lane) acc[lane] = f(acc[lane], take(x[i + lane]));
      for (; i < n; ++i) acc[0] = f(acc[0], take(x[i]));
      into[o] = std::accumulate(acc + 1, acc + lanes, acc[0], f);
    }
  });
}

// into[o, k] = f over take(from[o, 0..n, k]), starting at `start`.
template <class From, class Acc, class F, class Take>
void reduce_columns(const From* from, Acc* into, int64_t outer, int64_t n, int64_t inner, Acc start, F f, Take take) {
  constexpr int64_t width = 512;
  int64_t blocks = (inner + width - 1) / width;
  parallel_for(outer * blocks, std::max<int64_t>(1, reduce_portion / (std::min(width, inner) * std::max<int64_t>(1, n))),
               [=](int64_t begin, int64_t end) {
                 for (int64_t block = begin; block < end; ++block) {
                   int64_t o = block / blocks, first = block % blocks * width, count = std::min(width, inner - first);
                   const From* x = from + o * n * inner + first;
                   Acc* y = into + o * inner + first;
                   std::fill_n(y, count, start);
                   for (int64_t i = 0; i < n; ++i, x += inner)
                     for (int64_t k = 0; k < count; ++k) y[k] = f(y[k], take(x[k]));
                 }
               });
}

// from [outer, n, inner] -> into [outer, inner]
template <class From, class Acc, class F, class Take>
void reduce(const From* from, Acc* into, int64_t outer, int64_t n, int64_t inner, Acc start, F f, Take take) {
  if (outer * inner == 0) return;
  int64_t length = std::max<int64_t>(1, reduce_portion / inner);
  if (n <= 2 * length || outer * inner >= reduce_portion) {
    if (inner == 1)
      reduce_rows(from, into, outer, n, start, f, take);
    else
      reduce_columns(from, into, outer, n, inner, start, f, take);
    return;
  }
  int64_t parts = (n + length - 1) / length;
  std::vector<Acc> partial(size_t(outer * parts * inner));
  parallel_for(outer * parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t first = i % parts * length;
      reduce(from + (i / parts * n + first) * inner, partial.data() + i * inner, 1, std::min(length, n - first), inner, start,
             f, take);
    }
  });
  reduce(partial.data(), into, outer, parts, inner, start, f, std::identity());
}

// Reduces over the axes named, one run of neighbours after another, the last run first.
template <class From, class Acc, class F, class Take>
std::vector<Acc> reduce_all(const From* from, const Shape& shape, const Reduced& r, Acc start, F f, Take take) {
  std::vector<Acc> values;
  bool is_first = true;
  int64_t inner = 1;
  auto pass = [&](int64_t outer, int64_t n) {
    std::vector<Acc> next(size_t(outer * inner));
    if (is_first)
      reduce(from, next.data(), outer, n, inner, start, f, take);
    else
      reduce(values.data(), next.data(), outer, n, inner, start, f, std::identity());
    values = std::move(next);
    is_first = false;
  };
  int axis = shape.rank() - 1;
  while (axis >= 0) {
    if (!r.is_reduced[size_t(axis)]) {
      inner *= shape[axis--];
      continue;
    }
    int64_t n = 1, outer = 1;
    while (axis >= 0 && r.is_reduced[size_t(axis)]) n *= shape[axis--];
    for (int rest = 0; rest <= axis; ++rest) outer *= shape[rest];
    pass(outer, n);
  }
  if (is_first) pass(1, 1);  // a scalar
  return values;
}
template <class From, class Acc, class F>
std::vector<Acc> reduce_all(const From* from, const Shape& shape, const Reduced& r, Acc start, F f) {
  return reduce_all(from, shape, r, start, f, [](From x) { return Acc(x); });
}

}  // namespace az
