#include "core/kernels/max_pool.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/kernels/lanes.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // as in lanes.h
#if !defined(__clang__)
// GCC 12 takes vectors that start as {} for uninitialised where a loop is compiled for several instruction sets.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace az {
namespace {

// Through u16, which the compiler has instructions for.
AZ_INLINE LaneBits load_places(const uint8_t* from, Whole) {
  typedef uint8_t Bytes __attribute__((vector_size(16)));
  Bytes bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  return __builtin_convertvector(__builtin_convertvector(bytes, HalfLaneBits), LaneBits);
}
AZ_INLINE void store_places(uint8_t* to, Whole, const LaneBits& places) {
  typedef uint8_t Bytes __attribute__((vector_size(16)));
  const Bytes bytes = __builtin_convertvector(__builtin_convertvector(places, HalfLaneBits), Bytes);
  std::memcpy(to, &bytes, sizeof bytes);
}
AZ_INLINE LaneBits load_places(const uint32_t* from, Whole) {
  LaneBits places;
  std::memcpy(&places, from, sizeof places);
  return places;
}
AZ_INLINE void store_places(uint32_t* to, Whole, const LaneBits& places) { std::memcpy(to, &places, sizeof places); }
template <class Place> AZ_INLINE LaneBits load_places(const Place* from, Part part) {
  LaneBits places{};
  for (int64_t lane = 0; lane < part.count; ++lane) places[lane] = from[lane];
  return places;
}
template <class Place> AZ_INLINE void store_places(Place* to, Part part, const LaneBits& places) {
  for (int64_t lane = 0; lane < part.count; ++lane) to[lane] = Place(places[lane]);
}

// Calls f(first channel, Whole or Part) for each sixteen channels of a block.
template <class F> AZ_INLINE void each_channels(int64_t block, F f) {
  if (block == 8) return f(0, Part{8});  // a number that the compiler knows
  each_lanes(block, f);
}

// One axis of the images: windows of `kernel` pixels, each beginning `stride` after the one before, the first at -padding.
struct Axis {
  int64_t size, windows, kernel, stride, padding;
  std::vector<std::pair<int64_t, int64_t>> of_pixel = {};  // [first, end) of the windows that each pixel lies in

  Axis(int64_t pixels, int64_t count, int64_t side, int64_t step, int64_t before)
      : size(pixels), windows(count), kernel(side), stride(step), padding(before) {
    for (int64_t p = 0; p < size; ++p) {
      const int64_t past = p + padding - kernel;  // the last window that begins here or before has ended
      of_pixel.emplace_back(past < 0 ? 0 : past / stride + 1, std::min((p + padding) / stride + 1, windows));
    }
  }

  // The pixels [begin, end) of a window that lie inside the image.
  AZ_INLINE int64_t begin(int64_t window) const { return std::max<int64_t>(window * stride - padding, 0); }
  AZ_INLINE int64_t end(int64_t window) const { return std::min(window * stride - padding + kernel, size); }
  AZ_INLINE int64_t place(int64_t pixel, int64_t window) const { return pixel - (window * stride - padding); }
};

// A plane [h, w, block] of images, and its windows.
struct Windows {
  int64_t block;
  Axis rows, columns;

  explicit Windows(const Pool2dShape& s)
      : block(s.x.block),
        rows{s.x.h, s.y.h, s.params.kernel.h, s.params.stride.h, s.params.padding.h},
        columns{s.x.w, s.y.w, s.params.kernel.w, s.params.stride.w, s.params.padding.w} {}
};

// The largest so far of a window, and its place there. As in PyTorch the first of equal elements wins, and
// the last NaN.
struct Largest {
  Lanes value{};
  LaneBits place{};

  AZ_INLINE void meet(const Lanes& v, int64_t where) {
    const LaneBits better = LaneBits(v > value) | LaneBits(v != v);
    value = Lanes((LaneBits(v) & better) | (LaneBits(value) & ~better));
    place = (place & ~better) | (uint32_t(where) & better);
  }
};

// Square windows of `side` pixels are common enough for loops that the compiler unrolls; 0 stands for any other.
template <int side, class T, class Place>
AZ_MULTIVERSION void find_largest(const T* x, T* y, Place* places, const Windows& win) {
  const int64_t row = win.columns.size * win.block;
  for (int64_t i = 0; i < win.rows.windows; ++i) {
    const int64_t top = win.rows.begin(i), bottom = win.rows.end(i);
    for (int64_t j = 0; j < win.columns.windows; ++j, y += win.block, places += win.block) {
      const int64_t left = win.columns.begin(j), right = win.columns.end(j);
      const T* corner = x + top * row + left * win.block;
      const int64_t first = win.rows.place(top, i) * win.columns.kernel + win.columns.place(left, j);
      each_channels(win.block, [&](int64_t c, auto part) AZ_INLINED {
        Largest largest;
        largest.value = load(corner + c, part);
        largest.place += uint32_t(first);
        auto scan = [&](int64_t height, int64_t width) AZ_INLINED {
          for (int64_t a = 0; a < height; ++a) {
            for (int64_t b = 0; b < width; ++b)
              largest.meet(load(corner + a * row + b * win.block + c, part), first + a * win.columns.kernel + b);
          }
        };
        if (side > 0 && bottom - top == side && right - left == side)
          scan(side, side);
        else
          scan(bottom - top, right - left);
        store(y + c, part, largest.value);
        store_places(places + c, part, largest.place);
      });
    }
  }
}

// Each pixel sums the gradients of the windows in which it was found: written once, in any order of threads.
template <class T, class Place> AZ_MULTIVERSION void gather(const T* g, const Place* places, T* dx, const Windows& win) {
  for (int64_t a = 0; a < win.rows.size; ++a) {
    const int64_t top = win.rows.of_pixel[size_t(a)].first, bottom = win.rows.of_pixel[size_t(a)].second;
    for (int64_t b = 0; b < win.columns.size; ++b, dx += win.block) {
      const int64_t left = win.columns.of_pixel[size_t(b)].first, right = win.columns.of_pixel[size_t(b)].second;
      each_channels(win.block, [&](int64_t c, auto part) AZ_INLINED {
        Lanes sum{};
        for (int64_t i = top; i < bottom; ++i) {
          const int64_t first = win.rows.place(a, i) * win.columns.kernel;
          for (int64_t j = left; j < right; ++j) {
            const int64_t at = (i * win.columns.windows + j) * win.block + c;
            const LaneBits here = LaneBits{} + uint32_t(first + win.columns.place(b, j));
            // All bits where they are equal; GCC 14 ends with an internal error at ==.
            const LaneBits off = load_places(places + at, part) ^ here, taken = ((off | -off) >> 31) - 1;
            sum += Lanes(taken & LaneBits(load(g + at, part)));
          }
        }
        store(dx + c, part, sum);
      });
    }
  }
}

// Calls f(zero of the type of places).
template <class F> void visit_places(const Pool2dShape& shape, F f) {
  place_bytes(shape.params) == 1 ? f(uint8_t{}) : f(uint32_t{});
}

template <class F> void each_plane(const Pool2dShape& shape, F f) {
  parallel_for(shape.x.planes(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i);
  });
}

}  // namespace

int64_t place_bytes(const Pool2dParams& params) { return params.kernel.h * params.kernel.w <= 256 ? 1 : 4; }

template <class T> void max_pool_forward(const Pool2dShape& shape, const T* x, T* y, void* places) {
  const Windows win(shape);
  visit_places(shape, [&](auto zero) {
    using Place = decltype(zero);
    const bool square = shape.params.kernel.h == shape.params.kernel.w;
    auto* find = square && shape.params.kernel.h == 2   ? find_largest<2, T, Place>
                 : square && shape.params.kernel.h == 3 ? find_largest<3, T, Place>
                                                        : find_largest<0, T, Place>;
    const int64_t pixels = shape.x.plane(), windows = shape.y.plane();
    each_plane(shape,
               [&](int64_t i) { find(x + i * pixels, y + i * windows, static_cast<Place*>(places) + i * windows, win); });
  });
}

template <class T> void max_pool_backward(const Pool2dShape& shape, const T* g, const void* places, T* dx) {
  const Windows win(shape);
  visit_places(shape, [&](auto zero) {
    using Place = decltype(zero);
    const int64_t pixels = shape.x.plane(), windows = shape.y.plane();
    each_plane(shape, [&](int64_t i) {
      gather(g + i * windows, static_cast<const Place*>(places) + i * windows, dx + i * pixels, win);
    });
  });
}

template void max_pool_forward(const Pool2dShape&, const float*, float*, void*);
template void max_pool_forward(const Pool2dShape&, const bf16*, bf16*, void*);
template void max_pool_backward(const Pool2dShape&, const float*, const void*, float*);
template void max_pool_backward(const Pool2dShape&, const bf16*, const void*, bf16*);

}  // namespace az
