#include "core/backend/max_pool.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/backend/reorder.h"
#include "core/kernels/lanes.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // as in lanes.h
// GCC 12 takes vectors that start as {} for uninitialised where a loop is compiled for several instruction sets.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

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

// Images in blocks of channels, as [planes, h, w, block], and their windows.
struct Images {
  int64_t block, planes;
  Axis rows, columns;

  Images(const TensorForm& x, const Shape& y, const Pool2dParams& p)
      : block(block_of(x.layout, x.shape[1])),
        planes(x.shape[0] * ((x.shape[1] + block - 1) / block)),
        rows{x.shape[2], y[2], p.kernel.h, p.stride.h, p.padding.h},
        columns{x.shape[3], y[3], p.kernel.w, p.stride.w, p.padding.w} {}
  int64_t pixels() const { return rows.size * columns.size * block; }
  int64_t windows() const { return rows.windows * columns.windows * block; }
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
template <int side, class T, class Place> AZ_MULTIVERSION void find_largest(const T* x, T* y, Place* places, const Images& im) {
  const int64_t row = im.columns.size * im.block;
  for (int64_t i = 0; i < im.rows.windows; ++i) {
    const int64_t top = im.rows.begin(i), bottom = im.rows.end(i);
    for (int64_t j = 0; j < im.columns.windows; ++j, y += im.block, places += im.block) {
      const int64_t left = im.columns.begin(j), right = im.columns.end(j);
      const T* corner = x + top * row + left * im.block;
      const int64_t first = im.rows.place(top, i) * im.columns.kernel + im.columns.place(left, j);
      each_channels(im.block, [&](int64_t c, auto part) AZ_INLINED {
        Largest largest;
        largest.value = load(corner + c, part);
        largest.place += uint32_t(first);
        auto scan = [&](int64_t height, int64_t width) AZ_INLINED {
          for (int64_t a = 0; a < height; ++a) {
            for (int64_t b = 0; b < width; ++b)
              largest.meet(load(corner + a * row + b * im.block + c, part), first + a * im.columns.kernel + b);
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
template <class T, class Place> AZ_MULTIVERSION void gather(const T* g, const Place* places, T* dx, const Images& im) {
  for (int64_t a = 0; a < im.rows.size; ++a) {
    const int64_t top = im.rows.of_pixel[size_t(a)].first, bottom = im.rows.of_pixel[size_t(a)].second;
    for (int64_t b = 0; b < im.columns.size; ++b, dx += im.block) {
      const int64_t left = im.columns.of_pixel[size_t(b)].first, right = im.columns.of_pixel[size_t(b)].second;
      each_channels(im.block, [&](int64_t c, auto part) AZ_INLINED {
        Lanes sum{};
        for (int64_t i = top; i < bottom; ++i) {
          const int64_t first = im.rows.place(a, i) * im.columns.kernel;
          for (int64_t j = left; j < right; ++j) {
            const int64_t at = (i * im.columns.windows + j) * im.block + c;
            const LaneBits here = LaneBits{} + uint32_t(first + im.columns.place(b, j));
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

PoolResult max_pool(const Tensor& x, const Pool2dParams& params, const Shape& result) {
  const Images im(TensorForm(x), result, params);
  PoolResult r{Tensor::empty(result, x.dtype(), x.layout()), {}};
  visit_types(x.dtype(), params, [&](auto zero, auto place) {
    using T = decltype(zero);
    using Place = decltype(place);
    r.indices = Tensor::empty({im.planes * im.windows() * int64_t(sizeof(Place))}, DType::u8);
    const bool square = params.kernel.h == params.kernel.w;
    auto* find = square && params.kernel.h == 2   ? find_largest<2, T, Place>
                 : square && params.kernel.h == 3 ? find_largest<3, T, Place>
                                                  : find_largest<0, T, Place>;
    each_plane(im, [&](int64_t i) {
      find(static_cast<const T*>(x.raw()) + i * im.pixels(), static_cast<T*>(r.y.raw()) + i * im.windows(),
           static_cast<Place*>(r.indices.raw()) + i * im.windows(), im);
    });
  });
  return r;
}

Tensor max_pool_backward(const Tensor& given, const Tensor& indices, const TensorForm& x, const Pool2dParams& params) {
  const Tensor dx = Tensor::empty(x.shape, x.dtype, x.layout), g = laid_out(given, x.layout);
  const Images im(x, g.shape(), params);
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

#pragma GCC diagnostic pop
