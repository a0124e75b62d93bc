#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace az::experiments {

// Sums over the images seen so far.
struct Score {
  double loss_sum = 0;
  int64_t correct = 0;
  int64_t top5 = 0;
  int64_t images = 0;

  // loss: mean over the batch; logits [n,c], labels i64 [n]. A label's rank counts ties and NaN against it.
  void add(double loss, const Tensor& logits, const Tensor& labels);
  void add(const Score& other);

  double loss() const { return loss_sum / double(images); }
  double accuracy() const { return double(correct) / double(images); }  // a fraction
  double top5_accuracy() const { return double(top5) / double(images); }
};

}  // namespace az::experiments
