#pragma once

#include <cstddef>

#include "core/kernels/image_shape.h"

namespace az {

// The pixels of images that lie in every step-th row and every step-th column, from the first on.
struct PixelGrid {
  ImageShape shape;
  int64_t step;

  int64_t rows() const { return (shape.h + step - 1) / step; }
  int64_t columns() const { return (shape.w + step - 1) / step; }
};

// Copies the pixels of one grid to those of another of as many images, rows and columns, channel c to channel c + shift where
// there is one; the rest of `into` becomes 0. Elements have 1, 2, 4 or 8 bytes.
void move_pixels(size_t bytes, const void* from, const PixelGrid& from_grid, void* into, const PixelGrid& into_grid,
                 int64_t shift);

}  // namespace az
