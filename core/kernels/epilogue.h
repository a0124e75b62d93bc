#pragma once

#include <algorithm>

#include "core/kernels/image_shape.h"
#include "core/kernels/lanes.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"  // as in lanes.h

// How convolutions by kernels of our own end.
namespace az {

// What follows a convolution in the same pass: y + bias[o] + residual, then max(y, 0), NaN kept. Each may be null. The bias has
// zeros for the channels that fill up the last block.
template <class T> struct Epilogue {
  const float* bias = nullptr;
  const T* residual = nullptr;
  bool relu = false;
};

// Stores W channels of a pixel of the result, at to[pixel], with what follows; `bias` is that of these channels.
template <class T> struct PixelEnd {
  Epilogue<T> then;
  T* to;
  bool past_caches;

  // `channels`: so many of the vector's are left, W or more where all are. Those that fill up the last block stay 0, also where
  // others are NaN.
  template <int W> AZ_INLINE void put(int64_t pixel, const Vector<W>& sum, const Vector<W>& bias, int64_t channels) const {
    Vector<W> y = sum + bias;
    if (then.residual) y += load<W>(then.residual + pixel);
    if (then.relu) y = y < 0 ? Vector<W>{} : y;
    for (int64_t lane = std::max<int64_t>(channels, 0); lane < W; ++lane) y[lane] = 0;
    if (past_caches)
      stream(to + pixel, y);
    else
      store(to + pixel, y);
  }
};

}  // namespace az

#pragma GCC diagnostic pop
