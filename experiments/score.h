#pragma once

#include <cstdint>
#include <string>

#include "core/tensor/tensor.h"

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

// A share in percent, without the sign, with that many decimals, or as many as keep a part from reading as all or nothing:
// 99.96, 99.998, 100.00.
std::string percent(double share, int decimals = 2);

}  // namespace az::experiments
