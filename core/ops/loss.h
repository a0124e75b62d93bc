#pragma once

#include "core/tensor/tensor.h"

namespace az {

Tensor softmax(const Tensor& x, int64_t axis = -1);
Tensor log_softmax(const Tensor& x, int64_t axis = -1);
struct CrossEntropyOptions {
  double label_smoothing = 0;
};
// Mean over the batch. logits [n,c]; target i64 [n] (classes) or floating [n,c] (probabilities).
Tensor cross_entropy(const Tensor& logits, const Tensor& target, CrossEntropyOptions options = {});
Tensor mse_loss(const Tensor& prediction, const Tensor& target);  // mean (prediction - target)^2

}  // namespace az
