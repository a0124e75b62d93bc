#pragma once

#include "core/kernels/params.h"

namespace az {

// How an [n,c,h,w] lies in memory: as [n, blocks(), h, w, block], the last block of channels filled up with zeros. A block of 1
// is row-major, a block of all c channels is channels last.
struct ImageShape {
  int64_t n, c, h, w, block = 1;

  int64_t blocks() const { return (c + block - 1) / block; }
  int64_t planes() const { return n * blocks(); }
  int64_t plane() const { return h * w * block; }  // elements of one block of one image
  int64_t values() const { return n * h * w; }     // elements of one channel
};

// x [n,c,h,w], weight [o, c / groups, kernel.h, kernel.w], y [n,o,h',w'].
struct Conv2dShape {
  ImageShape x, y;
  Size2 kernel;
  Conv2dParams params;
};

// x [n,c,h,w], y [n,c,h',w'], both in blocks of the same size.
struct Pool2dShape {
  ImageShape x, y;
  Pool2dParams params;
};

}  // namespace az
