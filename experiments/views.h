#pragma once

#include <string>
#include <vector>

#include "core/tensor/tensor.h"

namespace az::experiments {

// One of the ways in which an image is looked at in evaluation.
struct View {
  int64_t shift = 0;  // pixels down and to the right; the image is reflected at its edge
  bool mirrored = false;
  double weight = 1;  // of its logits
};

// What train.evaluation.test_time_augmentation stands for; the weights' sum is 1.
std::vector<View> views_of(const std::string& test_time_augmentation);
// Images [n,c,h,w], moved, then mirrored left to right. Throws ConfigError where a side is no longer than the shift.
Tensor seen(const Tensor& images, const View& view);

}  // namespace az::experiments
