#pragma once

#include "core/tensor/tensor.h"

namespace az {

// A pixel in so many of an [n,c,h,w] counts.
struct Pixels {
  Tensor tensor;
  int64_t step = 1;
};
// Copies the counting pixels of `from` to those of `into`, channel c to channel c + shift where there is one; the rest of
// `into` becomes 0. Both row-major or in blocks of channels (see Layout), each in its own; one number type.
void move_pixels(const Pixels& from, const Pixels& into, int64_t shift);

}  // namespace az
