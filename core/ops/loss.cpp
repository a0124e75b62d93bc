#include "core/ops/loss.h"

#include <cmath>

#include "core/autograd/autograd.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/ops/rows.h"
#include "core/ops/shape.h"

namespace az {
namespace {

Tensor over_rows(const Tensor& x) { return sum(x, {{1}, true}); }

// dx_i = p_i (g_i - sum p_k g_k), by differences from the g of the largest share: with d_i = g_i - g_top and m = sum p_k d_k,
// dx_i = p_i (d_i - m), dx_top = -p_top m.
Tensor softmax_gradient(const Tensor& g, const Tensor& x) {
  Tensor value = by_rows(g, x, x.size(1), []<class T>(const RowOf<T>& row, T* y) AZ_INLINED {
    using N = Wider<T>;
    const Shares<N> s = shares_of(row);
    const N origin = row.up(s.top);
    const N mean = s.inverse * total<N>(row.n, [&](int64_t i) AZ_INLINED { return row.room[i] * (row.up(i) - origin); });
    for (int64_t i = 0; i < row.n; ++i) y[i] = T(row.room[i] * s.inverse * ((row.up(i) - origin) - mean));
    y[s.top] = T(-s.inverse * mean);
  });
  // J = diag(p) - p p^T is symmetric, and k J g = sum(p k g) - sum(p k) sum(p g).
  return record("softmax_gradient", value, {g, x}, saved(g, x), ByOps{[](const Back& k) {
                  const Tensor &up = k.saved[0], &at = k.saved[1];
                  if (!k.needs(1)) return Grads{softmax_gradient(k.g, at), Tensor()};
                  const Tensor p = softmax(at), to_x = k.g * up - up * over_rows(p * k.g) - k.g * over_rows(p * up);
                  return Grads{softmax_gradient(k.g, at), softmax_gradient(to_x, at)};
                }});
}

// dx_i = g_i - p_i sum g_k; dx_top = g_top (1 - p_top) - p_top (sum of the other g).
Tensor log_softmax_gradient(const Tensor& g, const Tensor& x) {
  Tensor value = by_rows(g, x, x.size(1), []<class T>(const RowOf<T>& row, T* y) AZ_INLINED {
    using N = Wider<T>;
    const Shares<N> s = shares_of(row);
    const N others = total<N>(row.n, [&](int64_t i) AZ_INLINED { return i == s.top ? N(0) : row.up(i); });
    const N top = row.up(s.top), all = others + top;
    for (int64_t i = 0; i < row.n; ++i) y[i] = T(row.up(i) - row.room[i] * s.inverse * all);
    y[s.top] = T((top * s.rest - others) * s.inverse);
  });
  // k (I - p 1^T) g = sum(k g) - sum(k p) sum(g)
  return record("log_softmax_gradient", value, {g, x}, saved(g, x), ByOps{[](const Back& k) {
                  const Tensor &up = k.saved[0], &at = k.saved[1];
                  return Grads{k.needs(0) ? k.g - over_rows(softmax(at) * k.g) : Tensor(),
                               k.needs(1) ? neg(softmax_gradient(k.g, at) * over_rows(up)) : Tensor()};
                }});
}

Tensor softmax_of_rows(const Tensor& x) {
  Tensor value = by_rows({}, x, x.size(1), []<class T>(const RowOf<T>& row, T* y) AZ_INLINED {
    const Shares<Wider<T>> s = shares_of(row);
    for (int64_t i = 0; i < row.n; ++i) y[i] = T(row.room[i] * s.inverse);
    y[s.top] = T(s.inverse);
  });
  return record("softmax", value, {x}, saved(x), ByOps{[](const Back& k) { return Grads{softmax_gradient(k.g, k.saved[0])}; }},
                Homogeneity::never());
}

// log p_i = (x_i - largest) - log(1 + rest): the largest is taken off first, as its digits are larger than those of the result.
Tensor log_softmax_of_rows(const Tensor& x) {
  Tensor value = by_rows({}, x, x.size(1), []<class T>(const RowOf<T>& row, T* y) AZ_INLINED {
    const Shares<Wider<T>> s = shares_of(row);
    const Compute<T> log_total = std::log1p(Compute<T>(s.rest));
    for (int64_t i = 0; i < row.n; ++i) y[i] = T((row.at(i) - s.largest) - log_total);
  });
  return record("log_softmax", value, {x}, saved(x),
                ByOps{[](const Back& k) { return Grads{log_softmax_gradient(k.g, k.saved[0])}; }}, Homogeneity::never());
}

Tensor softmax_over(const char* op, const Tensor& x, int64_t axis, Tensor (*of_rows)(const Tensor&)) {
  if (!is_float(x.dtype())) fail("{}: needs a floating type, got {}; convert with to()", op, describe(x));
  const RowOrder order(x.shape(), Reduced(op, x.shape(), {axis}, true));
  return x.numel() ? order.restored(of_rows(order.rows(x))) : x.clone();
}

void check_labels(const Tensor& labels, int64_t classes) {
  const int64_t* label = labels.data<int64_t>();
  for (int64_t row = 0; row < labels.numel(); ++row) {
    if (label[row] < 0 || label[row] >= classes) {
      fail("cross_entropy: label {} at row {} is outside 0..{} ({} classes)", label[row], row, classes - 1, classes);
    }
  }
}

}  // namespace

Tensor softmax(const Tensor& x, int64_t axis) { return softmax_over("softmax", x, axis, softmax_of_rows); }
Tensor log_softmax(const Tensor& x, int64_t axis) { return softmax_over("log_softmax", x, axis, log_softmax_of_rows); }

// -1/n sum_rows [(1 - s) log p(target) + s/c sum_classes log p], p = softmax(logits), s the smoothing.
Tensor cross_entropy(const Tensor& logits, const Tensor& target, CrossEntropyOptions options) {
  bool by_class = target.dtype() == DType::i64;
  Shape expected = logits.rank() == 2 && by_class ? Shape{logits.size(0)} : logits.shape();
  if (logits.rank() != 2 || !(by_class || is_float(target.dtype())) || target.shape() != expected) {
    fail("cross_entropy: logits {} and target {}; want [n,c] with i64 [n] or floating [n,c]", describe(logits),
         describe(target));
  }
  double smoothing = options.label_smoothing;
  if (!(smoothing >= 0 && smoothing <= 1)) fail("cross_entropy: label_smoothing is {}, must be from 0 to 1", smoothing);
  int64_t rows = logits.size(0), classes = logits.size(1);
  Tensor log_p = log_softmax(logits.dtype() == DType::bf16 ? logits.to(DType::f32) : logits), hit;
  // Means, as the sums may be more than f32 holds.
  if (by_class) {
    check_labels(target, classes);
    hit = mean(gather(log_p, target.reshape({rows, 1}), 1));
  } else {
    hit = mean(sum(target.to(log_p.dtype()) * log_p, {{1}}));
  }
  const Tensor loss = hit * (smoothing - 1);
  return smoothing > 0 ? loss - mean(log_p) * smoothing : loss;
}

Tensor mse_loss(const Tensor& prediction, const Tensor& target) {
  if (prediction.shape() != target.shape())
    fail("mse_loss: prediction {} and target {} differ", describe(prediction), describe(target));
  Tensor difference = prediction - target;
  return mean(difference * difference);
}

}  // namespace az
