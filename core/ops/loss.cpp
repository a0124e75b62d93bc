#include "core/ops/loss.h"

#include <algorithm>
#include <cmath>

#include "core/autograd.h"
#include "core/backend/strided.h"
#include "core/backend/threads.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/ops/shape.h"

namespace az {
namespace {

// Rows of the last axis: log_softmax when `in_logs`, else softmax; sums in f64.
template <class T> void softmax_rows(const T* x, T* y, int64_t rows, int64_t n, bool in_logs) {
  parallel_for(rows, std::max<int64_t>(1, (1 << 12) / n), [=](int64_t begin, int64_t end) {
    using C = Compute<T>;
    for (int64_t row = begin; row < end; ++row) {
      const T* in = x + row * n;
      T* out = y + row * n;
      C top = C(in[0]);
      for (int64_t i = 1; i < n; ++i) top = C(in[i]) > top ? C(in[i]) : top;
      double total = 0;
      for (int64_t i = 0; i < n; ++i) total += double(std::exp(C(in[i]) - top));
      C log_total = C(std::log(total)), factor = C(1 / total);
      if (in_logs)  // top taken off first: its digits are larger than those of the result
        for (int64_t i = 0; i < n; ++i) out[i] = T((C(in[i]) - top) - log_total);
      else
        for (int64_t i = 0; i < n; ++i) out[i] = T(std::exp(C(in[i]) - top) * factor);
    }
  });
}

Tensor softmax_last(const Tensor& x, bool in_logs) {
  Tensor source = x.plain(), value = Tensor::empty(x.shape(), x.dtype());
  int64_t n = x.size(-1);
  visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if (n) softmax_rows(source.data<T>(), value.mutable_data<T>(), x.numel() / n, n, in_logs);
  });
  // softmax: dx = y (g - sum(g y)); log_softmax: dx = g - exp(y) sum(g).
  if (in_logs) {
    return record("log_softmax", value, {source}, saved().and_result(), ByOps{[](const Back& k) {
                    return Grads{k.g - exp(k.result) * sum(k.g, {{-1}, true})};
                  }},
                  Scaling::never());
  }
  return record("softmax", value, {source}, saved().and_result(), ByOps{[](const Back& k) {
                  return Grads{k.result * (k.g - sum(k.g * k.result, {{-1}, true}))};
                }},
                Scaling::never());
}

Tensor softmax_over(const char* op, const Tensor& x, int64_t axis, bool in_logs) {
  if (!is_float(x.dtype())) fail("{}: needs a floating type, got {}; convert with to()", op, describe(x));
  int a = x.shape().axis(axis, op), last = x.rank() - 1;
  if (a == last) return softmax_last(x, in_logs);
  std::vector<int64_t> swapped;
  for (int i = 0; i <= last; ++i) swapped.push_back(i == a ? last : i == last ? a : i);
  return permute(softmax_last(permute(x, swapped), in_logs), swapped);
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

Tensor softmax(const Tensor& x, int64_t axis) { return softmax_over("softmax", x, axis, false); }
Tensor log_softmax(const Tensor& x, int64_t axis) { return softmax_over("log_softmax", x, axis, true); }

// -1/n sum_rows [(1 - s) log p(target) + s/c sum_classes log p], p = softmax(logits), s the smoothing.
Tensor cross_entropy(const Tensor& logits, const Tensor& target, CrossEntropyOptions options) {
  bool by_class = target.dtype() == DType::i64;
  Shape expected = logits.rank() == 2 && by_class ? Shape{logits.size(0)} : logits.shape();
  if (logits.rank() != 2 || !(by_class || is_float(target.dtype())) || target.shape() != expected) {
    fail("cross_entropy: logits {} and target {}; want [n,c] with i64 [n] or floating [n,c]", describe(logits), describe(target));
  }
  double smoothing = options.label_smoothing;
  if (!(smoothing >= 0 && smoothing <= 1)) fail("cross_entropy: label_smoothing is {}, must be from 0 to 1", smoothing);
  int64_t rows = logits.size(0), classes = logits.size(1);
  Tensor log_p = log_softmax(logits.dtype() == DType::bf16 ? logits.to(DType::f32) : logits), hit;
  if (by_class) {
    check_labels(target, classes);
    hit = sum(gather(log_p, target.reshape({rows, 1}), 1));
  } else {
    hit = sum(target.to(log_p.dtype()) * log_p);
  }
  Tensor loss = hit * (-(1 - smoothing) / double(rows));
  return smoothing > 0 ? loss + sum(log_p) * (-smoothing / double(rows * classes)) : loss;
}

Tensor mse_loss(const Tensor& prediction, const Tensor& target) {
  if (prediction.shape() != target.shape())
    fail("mse_loss: prediction {} and target {} differ", describe(prediction), describe(target));
  Tensor difference = prediction - target;
  return mean(difference * difference);
}

}  // namespace az
