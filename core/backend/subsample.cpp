#include "core/backend/subsample.h"

#include <algorithm>
#include <cstring>

#include "core/base/threads.h"
#include "core/tensor/layout.h"

namespace az {
namespace {

// Where a pixel's channels lie: [n, blocks, h, w, block].
struct Side {
  int64_t channels, block, blocks, h, w, step;

  explicit Side(const Pixels& p)
      : channels(p.tensor.size(1)),
        block(block_of(p.tensor.layout(), channels)),
        h(p.tensor.size(2)),
        w(p.tensor.size(3)),
        step(p.step) {
    blocks = (channels + block - 1) / block;
  }
  int64_t plane() const { return h * w * block; }
  // Of the first channel of a block, or of one inside it.
  int64_t offset(int64_t image, int64_t channel) const {
    return (image * blocks + channel / block) * plane() + channel % block;
  }
  int64_t rows() const { return (h + step - 1) / step; }
  int64_t columns() const { return (w + step - 1) / step; }
};

// The pixels' `count` neighbouring channels, from a block of one side to a block of the other.
template <class T> void copy_channels(const T* from, const Side& f, T* into, const Side& i, int64_t count) {
  for (int64_t y = 0; y < i.rows(); ++y) {
    const T* source = from + y * f.step * f.w * f.block;
    T* target = into + y * i.step * i.w * i.block;
    for (int64_t x = 0; x < i.columns(); ++x, source += f.step * f.block, target += i.step * i.block) {
      for (int64_t k = 0; k < count; ++k) target[k] = source[k];
    }
  }
}

template <class T> void move_as(const Pixels& from, const Pixels& into, int64_t shift) {
  const Side f(from), i(into);
  const T* source = static_cast<const T*>(from.tensor.raw());
  T* target = static_cast<T*>(into.tensor.raw());
  parallel_for(into.tensor.size(0) * i.blocks, 1, [&](int64_t begin, int64_t end) {
    std::memset(static_cast<void*>(target + begin * i.plane()), 0, size_t((end - begin) * i.plane()) * sizeof(T));
    for (int64_t k = begin; k < end; ++k) {
      const int64_t image = k / i.blocks, first = k % i.blocks * i.block;
      const int64_t last = std::min({first + i.block, i.channels, f.channels + shift});
      for (int64_t c = std::max(first, shift), count; c < last; c += count) {
        count = std::min(last - c, f.block - (c - shift) % f.block);
        copy_channels(source + f.offset(image, c - shift), f, target + i.offset(image, c), i, count);
      }
    }
  });
}

}  // namespace

void move_pixels(const Pixels& from, const Pixels& into, int64_t shift) {
  switch (size_of(into.tensor.dtype())) {
    case 1: return move_as<uint8_t>(from, into, shift);
    case 2: return move_as<uint16_t>(from, into, shift);
    case 4: return move_as<uint32_t>(from, into, shift);
    default: return move_as<uint64_t>(from, into, shift);
  }
}

}  // namespace az
