#include "core/kernels/subsample.h"

#include <algorithm>
#include <cstring>

#include "core/base/threads.h"

namespace az {
namespace {

// Returns where a channel of an image begins: the first channel of a block, or one inside it.
int64_t offset(const ImageShape& s, int64_t image, int64_t channel) {
  return (image * s.blocks() + channel / s.block) * s.plane() + channel % s.block;
}

// The pixels' `count` neighbouring channels, from a block of one side to a block of the other.
template <class T> void copy_channels(const T* from, const PixelGrid& f, T* into, const PixelGrid& i, int64_t count) {
  for (int64_t y = 0; y < i.rows(); ++y) {
    const T* source = from + y * f.step * f.shape.w * f.shape.block;
    T* target = into + y * i.step * i.shape.w * i.shape.block;
    for (int64_t x = 0; x < i.columns(); ++x, source += f.step * f.shape.block, target += i.step * i.shape.block) {
      for (int64_t k = 0; k < count; ++k) target[k] = source[k];
    }
  }
}

template <class T> void move_as(const void* from, const PixelGrid& f, void* into, const PixelGrid& i, int64_t shift) {
  const T* source = static_cast<const T*>(from);
  T* target = static_cast<T*>(into);
  const ImageShape &source_shape = f.shape, &target_shape = i.shape;
  parallel_for(target_shape.planes(), 1, [&](int64_t begin, int64_t end) {
    std::memset(static_cast<void*>(target + begin * target_shape.plane()), 0,
                size_t((end - begin) * target_shape.plane()) * sizeof(T));
    for (int64_t k = begin; k < end; ++k) {
      const int64_t image = k / target_shape.blocks(), first = k % target_shape.blocks() * target_shape.block;
      const int64_t last = std::min({first + target_shape.block, target_shape.c, source_shape.c + shift});
      for (int64_t c = std::max(first, shift), count; c < last; c += count) {
        count = std::min(last - c, source_shape.block - (c - shift) % source_shape.block);
        copy_channels(source + offset(source_shape, image, c - shift), f, target + offset(target_shape, image, c), i, count);
      }
    }
  });
}

}  // namespace

void move_pixels(size_t bytes, const void* from, const PixelGrid& from_grid, void* into, const PixelGrid& into_grid,
                 int64_t shift) {
  switch (bytes) {
    case 1: return move_as<uint8_t>(from, from_grid, into, into_grid, shift);
    case 2: return move_as<uint16_t>(from, from_grid, into, into_grid, shift);
    case 4: return move_as<uint32_t>(from, from_grid, into, into_grid, shift);
    default: return move_as<uint64_t>(from, from_grid, into, into_grid, shift);
  }
}

}  // namespace az
