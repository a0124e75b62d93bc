#include "core/backend/max_pool.h"

#include <algorithm>

#include "core/backend/lanes.h"
#include "core/backend/layout.h"

namespace az {
namespace {

AZ_INLINE LaneBits load_places(const uint8_t* from, Whole) {
  typedef uint8_t Bytes __attribute__((vector_size(16)));
  Bytes bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  return __builtin_convertvector(bytes, LaneBits);
}
AZ_INLINE void store_places(uint8_t* to, Whole, const LaneBits& places) {
  typedef uint8_t Bytes __attribute__((vector_size(16)));
  const Bytes bytes = __builtin_convertvector(places, Bytes);
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

  // The pixels [begin, end) of a window that lie inside the image, and the windows that a pixel lies in.
  AZ_INLINE int64_t begin(int64_t window) const { return std::max<int64_t>(window * stride - padding, 0); }
  AZ_INLINE int64_t end(int64_t window) const { return std::min(window * stride - padding + kernel, size); }
  AZ_INLINE int64_t first_window(int64_t pixel) const {
    const int64_t past = pixel + padding - kernel;  // the last one that ended before it began here
    return past < 0 ? 0 : past / stride + 1;
  }
  AZ_INLINE int64_t end_window(int64_t pixel) const { return std::min((pixel + padding) / stride + 1, windows); }
  AZ_INLINE int64_t place(int64_t pixel, int64_t window) const { return pixel - (window * stride - padding); }
};

// Images in blocks of channels, as [planes, h, w, block], and their windows.
struct Images {
  int64_t block, planes;
  Axis rows, columns;

  Images(const TensorForm& x, int64_t channel_block, const Shape& y, const Pool2dParams& p)
      : block(channel_block),
        planes(x.shape[0] * ((x.shape[1] + block - 1) / block)),
        rows{x.shape[2], y[2], p.kernel.h, p.stride.h, p.padding.h},
        columns{x.shape[3], y[3], p.kernel.w, p.stride.w, p.padding.w} {}
  int64_t pixels() const { return rows.size * columns.size * block; }
  int64_t windows() const { return rows.windows * columns.windows * block; }
};

// As in PyTorch the first of equal elements wins, and the last NaN.
template <class T, class Place> AZ_MULTIVERSION void find_largest(const T* x, T* y, Place* places, const Images& im) {
  for (int64_t i = 0; i < im.rows.windows; ++i) {
    const int64_t top = im.rows.begin(i), bottom = im.rows.end(i);
    for (int64_t j = 0; j < im.columns.windows; ++j, y += im.block, places += im.block) {
      const int64_t left = im.columns.begin(j), right = im.columns.end(j);
      each_channels(im.block, [&](int64_t c, auto part) AZ_INLINED {
        Lanes best = load(x + (top * im.columns.size + left) * im.block + c, part);
        LaneBits found{};
        found += uint32_t(im.rows.place(top, i) * im.columns.kernel + im.columns.place(left, j));
        for (int64_t a = top; a < bottom; ++a) {
          const T* row = x + a * im.columns.size * im.block + c;
          const int64_t first = im.rows.place(a, i) * im.columns.kernel;
          for (int64_t b = left; b < right; ++b) {
            const Lanes v = load(row + b * im.block, part);
            const auto better = (v > best) | (v != v);
            best = better ? v : best;
            found = better ? LaneBits{} + uint32_t(first + im.columns.place(b, j)) : found;
          }
        }
        store(y + c, part, best);
        store_places(places + c, part, found);
      });
    }
  }
}

// Each pixel sums the gradients of the windows in which it was found: written once, in any order of threads.
template <class T, class Place> AZ_MULTIVERSION void gather(const T* g, const Place* places, T* dx, const Images& im) {
  for (int64_t a = 0; a < im.rows.size; ++a) {
    const int64_t top = im.rows.first_window(a), bottom = im.rows.end_window(a);
    for (int64_t b = 0; b < im.columns.size; ++b, dx += im.block) {
      const int64_t left = im.columns.first_window(b), right = im.columns.end_window(b);
      each_channels(im.block, [&](int64_t c, auto part) AZ_INLINED {
        Lanes sum{};
        for (int64_t i = top; i < bottom; ++i) {
          const int64_t first = im.rows.place(a, i) * im.columns.kernel;
          for (int64_t j = left; j < right; ++j) {
            const int64_t at = (i * im.columns.windows + j) * im.block + c;
            const LaneBits here = LaneBits{} + uint32_t(first + im.columns.place(b, j));
            sum += Lanes(LaneBits(load_places(places + at, part) == here) & LaneBits(load(g + at, part)));
          }
        }
        store(dx + c, part, sum);
      });
    }
  }
}

// Calls f(zero of the number type, zero of the type of places).
template <class F> void visit_types(DType type, const Pool2dParams& p, F f) {
  auto with_type = [&](auto zero) {
    if (p.kernel.h * p.kernel.w <= 256)
      f(zero, uint8_t{});
    else
      f(zero, uint32_t{});
  };
  if (type == DType::bf16)
    with_type(bf16{});
  else
    with_type(float{});
}

template <class F> void each_plane(const Images& im, F f) {
  parallel_for(im.planes, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i);
  });
}

}  // namespace

PoolResult max_pool(const Tensor& given, const Pool2dParams& params, const Shape& result) {
  const Tensor x = channel_block(given) ? given : laid_out(given, nullptr);
  const int64_t block = channel_block(x);
  const Images im(TensorForm(x), block, result, params);
  PoolResult r{Tensor::empty(result, x.dtype(), blocked_layout(result, x.dtype(), block)), {}};
  visit_types(x.dtype(), params, [&](auto zero, auto place) {
    using T = decltype(zero);
    using Place = decltype(place);
    r.indices = Tensor::empty({im.planes * im.windows() * int64_t(sizeof(Place))}, DType::u8);
    each_plane(im, [&](int64_t i) {
      find_largest(static_cast<const T*>(x.raw()) + i * im.pixels(), static_cast<T*>(r.y.raw()) + i * im.windows(),
                   static_cast<Place*>(r.indices.raw()) + i * im.windows(), im);
    });
  });
  return r;
}

Tensor max_pool_backward(const Tensor& given, const Tensor& indices, const TensorForm& x, const Pool2dParams& params) {
  Tensor dx = Tensor::empty(x.shape, x.dtype, x.layout);
  if (!channel_block(dx)) dx = Tensor::empty(x.shape, x.dtype);
  const int64_t block = channel_block(dx);
  const Tensor g = laid_out(given, blocked_layout(given.shape(), x.dtype, block));
  const Images im(x, block, g.shape(), params);
  visit_types(x.dtype, params, [&](auto zero, auto place) {
    using T = decltype(zero);
    using Place = decltype(place);
    each_plane(im, [&](int64_t i) {
      gather(static_cast<const T*>(g.raw()) + i * im.windows(), static_cast<const Place*>(indices.raw()) + i * im.windows(),
             static_cast<T*>(dx.raw()) + i * im.pixels(), im);
    });
  });
  return dx;
}

}  // namespace az
