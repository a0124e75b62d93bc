#include "core/ops/reduce.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/autograd/autograd.h"
#include "core/backend/reduction.h"
#include "core/ops/elementwise.h"
#include "core/ops/loss.h"
#include "core/ops/rows.h"
#include "core/ops/shape.h"
#include "core/tensor/create.h"

namespace az {
namespace {

std::vector<int64_t> sizes(const Shape& shape) { return {shape.begin(), shape.end()}; }

void check_float(const char* op, const Tensor& x) {
  if (!is_float(x.dtype())) fail("{}: needs a floating type, got {}; convert with to()", op, describe(x));
}

template <class F> Tensor extreme(const char* op, const Tensor& x, const ReduceOptions& options, F better) {
  Reduced r(op, x.shape(), options.axes, options.keep_axes);
  if (r.count == 0) fail("{}: no elements to choose from in {}", op, describe(x));
  Tensor source = x.plain();
  Tensor value = visit(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using C = Compute<T>;
    // The first element is as good a start as any; NaN wins, as everywhere.
    auto pick = [&](C a, C b) { return a != a || better(a, b) ? a : b; };
    C worst = std::numeric_limits<C>::has_infinity ? std::numeric_limits<C>::infinity() : std::numeric_limits<C>::max();
    if (better(C(1), C(0))) worst = std::numeric_limits<C>::has_infinity ? -worst : std::numeric_limits<C>::lowest();
    return filled<T>(r.result, reduce_all(source.data<T>(), x.shape(), r, worst, pick));
  });
  return record(op, value, {source}, saved(source).and_result(), ByOps{[kept = r.kept, axes = options.axes](const Back& k) {
                  Tensor winners = equal(k.saved[0], k.result.reshape(sizes(kept))).to(k.g.dtype());
                  return Grads{k.g.reshape(sizes(kept)) * (winners / sum(winners, {axes, true}))};
                }},
                Homogeneity::along(r.place));
}

}  // namespace

Tensor mean(const Tensor& x, const ReduceOptions& options) {
  check_float("mean", x);
  Reduced r("mean", x.shape(), options.axes, options.keep_axes);
  return record("mean", sum_of(x, r, double(r.count)), {x}, saved(), ByOps{[r, shape = x.shape()](const Back& k) {
                  return Grads{broadcast_to(k.g.reshape(sizes(r.kept)) / double(r.count), shape)};
                }},
                Homogeneity::along(r.place, true));
}

Tensor max(const Tensor& x, const ReduceOptions& options) {
  return extreme("max", x, options, [](auto a, auto b) { return a > b; });
}

Tensor min(const Tensor& x, const ReduceOptions& options) {
  return extreme("min", x, options, [](auto a, auto b) { return a < b; });
}

namespace {

Tensor over_rows(const Tensor& x) { return sum(x, {{1}, true}); }

// dx = g p with p = softmax(x)
Tensor logsumexp_gradient(const Tensor& g, const Tensor& x) {
  Tensor value = by_rows(g, x, x.size(1), []<class T>(const RowOf<T>& row, T* y) AZ_INLINED {
    if (row.n == 0) return;
    const Shares<Wider<T>> s = shares_of(row);
    for (int64_t i = 0; i < row.n; ++i) y[i] = T(row.up(0) * (row.room[i] * s.inverse));
    y[s.top] = T(row.up(0) * s.inverse);
  });
  return record("logsumexp_gradient", value, {g, x}, saved(g, x), ByOps{[](const Back& k) {
                  const Tensor p = softmax(k.saved[1]), to_p = k.g * k.saved[0];
                  return Grads{over_rows(k.g * p), k.needs(1) ? p * (to_p - over_rows(to_p * p)) : Tensor()};
                }});
}

// x less its mean, and what is left less its own: the first mean is rounded, which shows where it is far from 0.
Tensor centred(const Tensor& x, const ReduceOptions& over) {
  const Tensor d = x - mean(x, over);
  return d - mean(d, over);
}

// finish(sum of x, sum of x^2), rounded once: squares that overflow, or vanish, may have a root or a mean that does not.
template <class Finish> Tensor moments(const Tensor& source, const Reduced& r, bool of_sums, Finish finish) {
  const Tensor x = source.detach().plain();
  return visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using N = Wider<T>;
    const auto squares = reduce_all(x.data<T>(), x.shape(), r, N(0), std::plus<>(), [](T v) { return N(v) * N(v); });
    auto sums = of_sums ? reduce_all(x.data<T>(), x.shape(), r, N(0), std::plus<>()) : std::vector<N>(squares.size());
    std::transform(squares.begin(), squares.end(), sums.begin(), sums.begin(), finish);
    return filled<T>(r.result, sums);
  });
}

}  // namespace

Tensor logsumexp(const Tensor& x, const ReduceOptions& options) {
  check_float("logsumexp", x);
  const Reduced r("logsumexp", x.shape(), options.axes, options.keep_axes);
  const RowOrder order(x.shape(), r);
  const Tensor rows = order.rows(x);
  // largest + log(1 + rest), which neither overflows nor loses a small rest. Where the largest is infinite, so is the sum.
  Tensor value = by_rows({}, rows, 1, []<class T>(const RowOf<T>& row, T* y) AZ_INLINED {
    using N = Wider<T>;
    const N largest = largest_of(row);
    if (std::isfinite(largest))
      *y = T(largest + std::log1p(Compute<T>(shares_of(row).rest)));
    else
      *y = T(std::log(total<N>(row.n, [&](int64_t i) AZ_INLINED { return std::exp(row.at(i)); })));
  });
  return record("logsumexp", value, {rows}, saved(rows),
                ByOps{[](const Back& k) { return Grads{logsumexp_gradient(k.g, k.saved[0])}; }}, Homogeneity::never())
      .reshape(sizes(r.result));
}

Tensor var(const Tensor& x, const VarOptions& options) {
  check_float("var", x);
  if (x.dtype() == DType::bf16) return var(x.to(DType::f32), options).to(DType::bf16);  // of close numbers' differences
  Reduced r("var", x.shape(), options.axes, options.keep_axes);
  const double divisor = double(std::max<int64_t>(0, r.count - options.correction));
  const ReduceOptions over{options.axes, true};
  Tensor value;
  {
    NoGrad none;
    value = moments(x - mean(x, over), r, true, [divisor, count = double(r.count)](auto squares, auto sum) {
      const auto left = squares - sum * sum / count;
      return left < 0 ? 0 : left / divisor;
    });
  }
  Homogeneity homogeneity = Homogeneity::along(r.place);
  for (auto& input : homogeneity.inputs) input.power = 2;
  return record("var", value, {x}, saved(x), ByOps{[kept = r.kept, over, divisor](const Back& k) {
                  return Grads{centred(k.saved[0], over) * (k.g.reshape(sizes(kept)) * (2 / divisor))};
                }},
                homogeneity);
}

Tensor norm(const Tensor& x, const ReduceOptions& options) {
  check_float("norm", x);
  Reduced r("norm", x.shape(), options.axes, options.keep_axes);
  const Tensor value = moments(x, r, false, [](auto squares, auto) { return std::sqrt(squares); });
  return record("norm", value, {x}, saved(x).and_result(), ByOps{[kept = r.kept](const Back& k) {
                  const Tensor length = k.result.reshape(sizes(kept)), zero = zeros({}, k.g.dtype()),
                               one = ones({}, k.g.dtype());
                  // The unit vector first: g / ||x|| may be more than the type holds.
                  return Grads{k.saved[0] / where(equal(length, zero), one, length) * k.g.reshape(sizes(kept))};
                }},
                Homogeneity::along(r.place));
}

Tensor argmax(const Tensor& x, int64_t axis) {
  int a = x.shape().axis(axis, "argmax");
  Reduced r("argmax", x.shape(), {a}, false);
  if (r.count == 0) fail("argmax: no elements to choose from in {}", describe(x));
  Tensor source = x.detach().plain(), result = Tensor::empty(r.result, DType::i64);
  int64_t* into = result.mutable_data<int64_t>();
  int64_t n = r.count, inner = std::max<int64_t>(1, x.shape().strides()[size_t(a)]);
  visit(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using C = Compute<T>;
    const T* from = source.data<T>();
    for (int64_t i = 0, count = r.result.numel(); i < count; ++i) {
      const T* first = from + i / inner * n * inner + i % inner;
      int64_t best = 0;
      for (int64_t k = 1; k < n; ++k) {
        C candidate = C(first[k * inner]), holder = C(first[best * inner]);
        if (candidate > holder || (candidate != candidate && holder == holder)) best = k;
      }
      into[i] = best;
    }
  });
  return result;
}

TopK topk(const Tensor& x, int64_t k) {
  if (x.rank() == 0) fail("topk: {} has no axis to choose from", describe(x));
  int64_t n = x.size(-1);
  if (k < 0 || k > n) fail("topk: k is {}, the last axis of {} has {}", k, describe(x), n);
  Shape shape = x.shape();
  shape[shape.rank() - 1] = k;
  Tensor source = x.plain(), indices = Tensor::empty(shape, DType::i64);
  int64_t* into = indices.mutable_data<int64_t>();
  visit(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using C = Compute<T>;
    std::vector<int64_t> order(size_t(n), 0);
    for (int64_t row = 0, rows = n ? x.numel() / n : 0; row < rows; ++row) {
      const T* v = source.data<T>() + row * n;
      std::iota(order.begin(), order.end(), 0);
      // Descending, NaN first; equal values in the order of their indices.
      std::partial_sort(order.begin(), order.begin() + k, order.end(), [v](int64_t i, int64_t j) {
        C a = C(v[i]), b = C(v[j]);
        if (a > b || (a != a && b == b)) return true;
        return !(b > a || (b != b && a == a)) && i < j;
      });
      std::copy_n(order.begin(), k, into + row * k);
    }
  });
  return {gather(source, indices, -1), indices};
}

Tensor cosine_similarity(const Tensor& a, const Tensor& b, CosineOptions options) {
  check_float("cosine_similarity", a);
  // Vectors that are nearly parallel have a gradient that is a difference of close numbers: in wider ones, rounded once.
  if (const DType type = a.dtype(); type != DType::f64 && b.dtype() == type) {
    const DType wide = type == DType::bf16 ? DType::f32 : DType::f64;
    return cosine_similarity(a.to(wide), b.to(wide), options).to(type);
  }
  Shape shape = broadcast(a.shape(), b.shape(), "cosine_similarity");
  Tensor wide_a = broadcast_to(a, shape), wide_b = broadcast_to(b, shape);
  ReduceOptions over{{shape.axis(options.axis, "cosine_similarity")}, true};
  Tensor unit_a = wide_a / clamp(norm(wide_a, over), {.min = options.eps}),
         unit_b = wide_b / clamp(norm(wide_b, over), {.min = options.eps});
  return sum(unit_a * unit_b, {over.axes});
}

}  // namespace az
