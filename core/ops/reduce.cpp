#include "core/ops/reduce.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/autograd.h"
#include "core/backend/reduce.h"
#include "core/backend/strided.h"
#include "core/ops/create.h"
#include "core/ops/elementwise.h"
#include "core/ops/shape.h"

namespace az {
namespace {

std::vector<int64_t> sizes(const Shape& shape) { return {shape.begin(), shape.end()}; }

void check_float(const char* op, const Tensor& x) {
  if (!is_float(x.dtype())) fail("{}: needs a floating type, got {}; convert with to()", op, describe(x));
}

template <class To, class Acc> Tensor filled(const Shape& shape, const std::vector<Acc>& values) {
  Tensor result = Tensor::empty(shape, dtype_of<To>);
  std::transform(values.begin(), values.end(), result.mutable_data<To>(), [](Acc v) { return To(v); });
  return result;
}

// Sums are accumulated in f64 (floating types) or i64.
Tensor sum_of(const Tensor& source, const Reduced& r) {
  Tensor x = source.detach().plain();
  auto plus = [](auto a, auto b) { return a + b; };
  if (x.dtype() == DType::i64) return filled<int64_t>(r.result, reduce_all(x.data<int64_t>(), x.shape(), r, int64_t(0), plus));
  if (x.dtype() == DType::u8) return filled<int64_t>(r.result, reduce_all(x.data<uint8_t>(), x.shape(), r, int64_t(0), plus));
  return visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    return filled<T>(r.result, reduce_all(x.data<T>(), x.shape(), r, 0.0, plus));
  });
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
                Scaling::along(r.place));
}

}  // namespace

Tensor sum(const Tensor& x, const ReduceOptions& options) {
  Reduced r("sum", x.shape(), options.axes, options.keep_axes);
  return record("sum", sum_of(x, r), {x}, saved(), ByOps{[kept = r.kept, shape = x.shape()](const Back& k) {
                  return Grads{broadcast_to(k.g.reshape(sizes(kept)), shape)};
                }},
                Scaling::along(r.place, true));
}

Tensor mean(const Tensor& x, const ReduceOptions& options) {
  check_float("mean", x);
  Reduced r("mean", x.shape(), options.axes, options.keep_axes);
  return sum(x, options) * (1 / double(r.count));
}

Tensor max(const Tensor& x, const ReduceOptions& options) {
  return extreme("max", x, options, [](auto a, auto b) { return a > b; });
}

Tensor min(const Tensor& x, const ReduceOptions& options) {
  return extreme("min", x, options, [](auto a, auto b) { return a < b; });
}

Tensor logsumexp(const Tensor& x, const ReduceOptions& options) {
  check_float("logsumexp", x);
  if (x.dtype() == DType::bf16) return logsumexp(x.to(DType::f32), options).to(DType::bf16);  // the gradient is exp(x - result)
  Reduced r("logsumexp", x.shape(), options.axes, true);
  Tensor value;
  {
    NoGrad none;
    // exp(x - max) never overflows; an infinite maximum is left out, so that it does not become inf - inf.
    Tensor top = r.count == 0 ? zeros(r.kept, x.dtype()) : max(x, {options.axes, true});
    Tensor none_there = zeros({}, x.dtype());
    top = where(less(abs(top), full({}, INFINITY, x.dtype())), top, none_there);
    value = (log(sum(exp(x - top), {options.axes, true})) + top);
    if (!options.keep_axes) value = value.reshape(sizes(Reduced("logsumexp", x.shape(), options.axes, false).result));
  }
  return record("logsumexp", value, {x}, saved(x).and_result(), ByOps{[kept = r.kept](const Back& k) {
                  return Grads{k.g.reshape(sizes(kept)) * exp(k.saved[0] - k.result.reshape(sizes(kept)))};
                }},
                Scaling::never());
}

Tensor var(const Tensor& x, const VarOptions& options) {
  check_float("var", x);
  if (x.dtype() == DType::bf16) return var(x.to(DType::f32), options).to(DType::bf16);  // of close numbers' differences
  Reduced r("var", x.shape(), options.axes, options.keep_axes);
  Tensor centred = x - mean(x, {options.axes, true});
  double divisor = double(std::max<int64_t>(0, r.count - options.correction));
  return sum(centred * centred, {options.axes, options.keep_axes}) * (1 / divisor);
}

Tensor norm(const Tensor& x, const ReduceOptions& options) {
  check_float("norm", x);
  Reduced r("norm", x.shape(), options.axes, options.keep_axes);
  Tensor value;
  {
    NoGrad none;
    value = sqrt(sum(x * x, options));
  }
  return record("norm", value, {x}, saved(x).and_result(), ByOps{[kept = r.kept](const Back& k) {
                  Tensor length = k.result.reshape(sizes(kept)), zero = zeros({}, k.g.dtype()), one = ones({}, k.g.dtype());
                  Tensor is_zero = equal(length, zero);
                  Tensor scaled = k.g.reshape(sizes(kept)) / where(is_zero, one, length);
                  return Grads{k.saved[0] * where(is_zero, zero, scaled)};
                }},
                Scaling::along(r.place));
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
  Shape shape = broadcast(a.shape(), b.shape(), "cosine_similarity");
  Tensor wide_a = broadcast_to(a, shape), wide_b = broadcast_to(b, shape);
  ReduceOptions over{{shape.axis(options.axis, "cosine_similarity")}, true};
  Tensor unit_a = wide_a / clamp(norm(wide_a, over), {.min = options.eps}),
         unit_b = wide_b / clamp(norm(wide_b, over), {.min = options.eps});
  return sum(unit_a * unit_b, {over.axes});
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  std::vector<int64_t> axes;
  int added = x.rank() - shape.rank();
  bool fits = added >= 0;
  for (int axis = 0; fits && axis < x.rank(); ++axis) {
    if (axis < added || shape[axis - added] != x.shape()[axis]) axes.push_back(axis);
    fits = axis < added || shape[axis - added] == 1 || shape[axis - added] == x.shape()[axis];
  }
  if (!fits) fail("sum_to: {} does not come from broadcasting {}", describe(x), shape.str());
  return sum(x, {axes, true}).reshape(sizes(shape));
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (x.rank() > shape.rank() || !(broadcast(x.shape(), shape, "broadcast_to") == shape)) {
    fail("broadcast_to: {} does not broadcast to {}", describe(x), shape.str());
  }
  Tensor source = x.plain(), value = Tensor::empty(shape, x.dtype());
  copy_strided(shape, size_of(x.dtype()), source.raw(), broadcast_strides(x.shape(), shape), value.raw(), shape.strides());
  return record("broadcast_to", value, {source}, saved(), ByOps{[](const Back& k) { return Grads{k.g}; }},
                Scaling::along({}, true));
}

}  // namespace az
