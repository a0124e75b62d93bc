#pragma once

#include <cstdint>

#include "data/dataset.h"

namespace az::data {

// A set drawn by procedure: 32x32 colour images of one object of random place, size, turn and colours on a noisy background.
// Its class is one of five outlines (disc, square, triangle, ring, cross) filled with one of two textures (stripes, checks).
struct ShapesOptions {
  bool train = true;  // training and test images are drawn from different random numbers
  int64_t count = 0;  // 0: 10,000 training or 2,000 test images
  uint64_t seed = 0;
};
struct Shapes : Dataset {
  explicit Shapes(const ShapesOptions& options = {});
};

}  // namespace az::data
