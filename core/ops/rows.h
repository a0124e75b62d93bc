#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/base/threads.h"
#include "core/kernels/reduce.h"
#include "core/kernels/strided.h"
#include "core/kernels/vector_math.h"
#include "core/kernels/widest.h"
#include "core/tensor/tensor.h"

// How ops are written that work row by row on a matrix [rows, n]: from the elements themselves, in numbers of Wider<T>, so that
// differences keep their digits and squares do not overflow; rounded to T once.
namespace az {

// A tensor as such a matrix, a row for each element that a reduction keeps; and one of that matrix's shape as the tensor again.
// Both are differentiable.
class RowOrder {
 public:
  RowOrder(const Shape& shape, const Reduced& r);
  Tensor rows(const Tensor& x) const;
  Tensor restored(const Tensor& rows) const;

 private:
  Shape shape_, matrix_;
  std::vector<int64_t> axes_;  // those that are kept, then those that are reduced
  bool in_order_;
};

// The sum of f(i) over [0, n), by lanes that fill a vector register.
template <class Number, class F> AZ_INLINE Number total(int64_t n, F f) {
  constexpr int64_t lanes = 8;
  Number sums[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int64_t lane = 0; lane < lanes; ++lane) sums[lane] += f(i + lane);
  for (; i < n; ++i) sums[0] += f(i);
  for (int64_t lane = 1; lane < lanes; ++lane) sums[0] += sums[lane];
  return sums[0];
}

// One row: n elements of x; g, its gradient or that of its result; room for n numbers.
template <class T> struct RowOf {
  using Number = Wider<T>;
  int64_t n;
  const T *g, *x;
  Compute<T>* room;
  AZ_INLINE Number at(int64_t i) const { return Number(x[i]); }
  AZ_INLINE Number up(int64_t i) const { return Number(g[i]); }
};

template <class T, class Kernel>
void run_rows(int64_t begin, int64_t end, RowOf<T> row, int64_t up_width, int64_t width, T* y, Kernel kernel) {
  std::vector<Compute<T>> room(static_cast<size_t>(row.n));
  row.room = room.data();
  run_widest<T>([=]() AZ_INLINED {
    for (int64_t i = begin; i < end; ++i)
      kernel(RowOf<T>{row.n, row.g ? row.g + i * up_width : nullptr, row.x + i * row.n, row.room}, y + i * width);
  });
}

// Calls kernel(row, y) for each row of x [rows, n], y being that of the result [rows, width]. g: undefined, or [rows, ...].
template <class Kernel> Tensor by_rows(const Tensor& g, const Tensor& x, int64_t width, Kernel kernel) {
  const Tensor up = g.defined() ? g.plain() : g, in = x.plain();
  const int64_t rows = x.size(0), n = x.size(1), up_width = g.defined() && rows ? g.numel() / rows : 0;
  Tensor y = Tensor::empty({rows, width}, x.dtype());
  visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const RowOf<T> row{n, up.defined() ? up.data<T>() : nullptr, in.data<T>(), nullptr};
    parallel_for(rows, std::max<int64_t>(1, (1 << 12) / std::max<int64_t>(1, n)),
                 [=, out = y.mutable_data<T>()](int64_t begin, int64_t end) {
                   run_rows(begin, end, row, up_width, width, out, kernel);
                 });
  });
  return y;
}

template <class T> AZ_INLINE Wider<T> mean_of(const RowOf<T>& row) {
  return total<Wider<T>>(row.n, [&](int64_t i) AZ_INLINED { return row.at(i); }) / Wider<T>(row.n);
}
template <class T> AZ_INLINE Wider<T> squares_about(Wider<T> centre, const RowOf<T>& row) {
  return total<Wider<T>>(row.n, [&](int64_t i) AZ_INLINED { return (row.at(i) - centre) * (row.at(i) - centre); });
}

// -infinity of no elements; NaN has no part in it.
template <class T> AZ_INLINE Compute<T> largest_of(const RowOf<T>& row) {
  using C = Compute<T>;
  constexpr int64_t lanes = 8;
  C largest[lanes];
  std::fill_n(largest, lanes, C(-INFINITY));
  const auto raise = [&](int64_t lane, C x) AZ_INLINED { largest[lane] = x > largest[lane] ? x : largest[lane]; };
  int64_t i = 0;
  for (; i + lanes <= row.n; i += lanes)
    for (int64_t lane = 0; lane < lanes; ++lane) raise(lane, C(row.x[i + lane]));
  for (; i < row.n; ++i) raise(0, C(row.x[i]));
  for (int64_t lane = 1; lane < lanes; ++lane) raise(0, largest[lane]);
  return largest[0];
}

// A row's shares p_i = exp(x_i) / sum_k exp(x_k) with the largest apart: it is the one whose distance from 1 rounding would
// take.
template <class N> struct Shares {
  int64_t top;  // the index of the largest x,
  N largest;    // and its value, taken off from all
  N rest;       // sum of exp(x_i - largest) over the others
  N inverse;    // 1 / (1 + rest): the share of the largest, and what makes shares of the exponentials
};

// Leaves exp(x_i - largest) in row.room, 0 at the largest itself. NaN or an infinite largest make all of it NaN.
template <class T> AZ_INLINE Shares<Wider<T>> shares_of(const RowOf<T>& row) {
  using N = Wider<T>;
  using C = Compute<T>;
  Shares<N> s{0, N(largest_of(row)), 0, 0};
  while (s.top + 1 < row.n && row.at(s.top) != s.largest) ++s.top;
  // The exponential is taken of the rounded difference, and changed by what that lacks.
  for (int64_t i = 0; i < row.n; ++i) {
    const N difference = row.at(i) - s.largest;
    const C rounded = C(difference), e = std::exp(rounded);
    row.room[i] = rounded < -1000 ? e : e + e * C(difference - N(rounded));
  }
  row.room[s.top] = C(s.largest - s.largest);
  s.rest = total<N>(row.n, [&](int64_t i) AZ_INLINED { return N(row.room[i]); });
  s.inverse = 1 / (1 + s.rest);
  return s;
}

}  // namespace az
