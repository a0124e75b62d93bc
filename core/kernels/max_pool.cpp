#include "core/kernels/max_pool.h"

#include <algorithm>
#include <limits>
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

// g where what was found is `place`, 0 elsewhere. All bits are set where the two are equal, without ==, at which GCC 14 ends
// with an internal error.
AZ_INLINE Lanes taken(const Lanes& g, const LaneBits& found, int64_t place) {
  const LaneBits off = found ^ (LaneBits{} + uint32_t(place)), equal = ((off | -off) >> 31) - 1;
  return Lanes(equal & LaneBits(g));
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
            sum += taken(load(g + at, part), load_places(places + at, part), first + win.columns.place(b, j));
          }
        }
        store(dx + c, part, sum);
      });
    }
  }
}

// Row-major planes go over the width in lanes. Their rows are widened for that, with room beside the elements, so that sixteen
// neighbours can be read wherever a window lies. The last few rows are kept, on which all windows that reach a row lie.
template <class T> class LastRows {
 public:
  LastRows(int64_t kept, int64_t before, int64_t width, T beside)
      : kept_(kept), before_(before), width_(width), values_(size_t(kept * width), beside) {}

  AZ_INLINE const T* row(int64_t i) const { return values_.data() + i % kept_ * width_; }
  // Row i gets `count` elements, behind `before` that stay as they are.
  template <class From> AZ_INLINE void put(int64_t i, int64_t count, const From* from) {
    T* to = values_.data() + i % kept_ * width_ + before_;
    for (int64_t k = 0; k < count; ++k) to[k] = T(from[k]);
  }

 private:
  int64_t kept_, before_, width_;
  std::vector<T> values_;
};

constexpr int64_t whole_lanes(int64_t count) { return (count + lane_count - 1) / lane_count * lane_count; }

// A thread's own memory for the forward pass: a row begins with the padding, of which nothing is ever the largest.
struct ForwardRows {
  LastRows<float> x;
  std::vector<uint32_t> first;  // place in each window of a row's first element inside the image

  explicit ForwardRows(const Windows& win)
      : x(win.rows.kernel, win.columns.padding,
          std::max((whole_lanes(win.columns.windows) - 1) * win.columns.stride + win.columns.kernel,
                   win.columns.padding + win.columns.size),
          -std::numeric_limits<float>::infinity()),
        first(size_t(whole_lanes(win.columns.windows))) {
    for (int64_t j = 0; j < win.columns.windows; ++j) first[size_t(j)] = uint32_t(win.columns.place(win.columns.begin(j), j));
  }
};

// from[0], from[step], ...
AZ_INLINE Lanes load_steps(const float* from, int64_t step) {
  if (step == 1) return load(from);
  if (step == 2) {
    const Lanes low = load(from), high = load(from + 15);
    return __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
  }
  Lanes v{};
  for (int64_t lane = 0; lane < lane_count; ++lane) v[lane] = from[lane * step];
  return v;
}

template <class T, class Place>
AZ_MULTIVERSION void find_largest_in_rows(const T* x, T* y, Place* places, const Windows& win, ForwardRows& last) {
  const Axis &rows = win.rows, &columns = win.columns;
  for (int64_t i = 0, next = 0; i < rows.windows; ++i, y += columns.windows, places += columns.windows) {
    const int64_t top = rows.begin(i), bottom = rows.end(i);
    for (next = std::max(next, top); next < bottom; ++next) last.x.put(next, columns.size, x + next * columns.size);
    each_lanes(columns.windows, [&](int64_t j, auto part) AZ_INLINED {
      Largest largest;
      largest.value -= std::numeric_limits<float>::infinity();
      largest.place = load_places(last.first.data() + j, Whole{}) + uint32_t(rows.place(top, i) * columns.kernel);
      for (int64_t a = top; a < bottom; ++a) {
        const float* from = last.x.row(a) + j * columns.stride;
        for (int64_t b = 0; b < columns.kernel; ++b)
          largest.meet(load_steps(from + b, columns.stride), rows.place(a, i) * columns.kernel + b);
      }
      store(y + j, part, largest.value);
      store_places(places + j, part, largest.place);
    });
  }
}

// A thread's own memory for the backward pass. Pixels that lie equally far from where windows begin, one in `stride`, are in
// consecutive windows, at the same places: pixel m * stride + phase - padding is in window m at place `phase`, in m - 1 at
// `phase + stride`.
struct BackwardRows {
  int64_t reach, steps;  // windows before its own that a pixel may be in; of m
  LastRows<float> g;
  LastRows<uint32_t> places;
  std::vector<float> dx;  // of a row, from -padding on

  explicit BackwardRows(const Windows& win)
      : reach((win.columns.kernel - 1) / win.columns.stride),
        steps((win.columns.size - 1 + win.columns.padding) / win.columns.stride + 1),
        g((win.rows.kernel - 1) / win.rows.stride + 1, reach, reach + whole_lanes(steps), 0),
        places((win.rows.kernel - 1) / win.rows.stride + 1, reach, reach + whole_lanes(steps), 0),
        dx(size_t(whole_lanes(steps) * win.columns.stride)) {}
};

template <class T, class Place>
AZ_MULTIVERSION void gather_in_rows(const T* g, const Place* places, T* dx, const Windows& win, BackwardRows& last) {
  const Axis &rows = win.rows, &columns = win.columns;
  const int64_t stride = columns.stride;
  for (int64_t a = 0, next = 0; a < rows.size; ++a, dx += columns.size) {
    const int64_t top = rows.of_pixel[size_t(a)].first, bottom = rows.of_pixel[size_t(a)].second;
    for (next = std::max(next, top); next < bottom; ++next) {
      last.g.put(next, columns.windows, g + next * columns.windows);
      last.places.put(next, columns.windows, places + next * columns.windows);
    }
    // Sums the gradients of windows in the order in which gather() does.
    const auto sum_of = [&](int64_t m, int64_t phase) AZ_INLINED {
      Lanes sum{};
      for (int64_t i = top; i < bottom; ++i) {
        const float* up = last.g.row(i) + last.reach + m;
        const uint32_t* found = last.places.row(i) + last.reach + m;
        for (int64_t before = (columns.kernel - 1 - phase) / stride; before >= 0; --before)
          sum += taken(load(up - before), load_places(found - before, Whole{}),
                       rows.place(a, i) * columns.kernel + phase + before * stride);
      }
      return sum;
    };
    for (int64_t m = 0; m < last.steps; m += lane_count) {
      float* to = last.dx.data() + m * stride;
      if (stride == 1) {
        store(to, sum_of(m, 0));
      } else if (stride == 2 && columns.kernel > 1) {
        const Lanes even = sum_of(m, 0), odd = sum_of(m, 1);
        store(to, __builtin_shufflevector(even, odd, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
        store(to + 16, __builtin_shufflevector(even, odd, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31));
      } else {
        for (int64_t phase = 0; phase < std::min(stride, columns.kernel); ++phase) {
          const Lanes sum = sum_of(m, phase);
          for (int64_t lane = 0; lane < lane_count; ++lane) to[lane * stride + phase] = sum[lane];
        }
      }
    }
    const float* from = last.dx.data() + columns.padding;
    for (int64_t b = 0; b < columns.size; ++b) dx[b] = T(from[b]);
  }
}

// Calls f(zero of the type of places).
template <class F> void visit_places(const Pool2dShape& shape, F f) {
  place_bytes(shape.params) == 1 ? f(uint8_t{}) : f(uint32_t{});
}

// Calls f(plane), or where a plane is row-major in_rows(plane, memory of the thread's own), on all threads.
template <class Rows, class F, class InRows>
void each_plane(const Pool2dShape& shape, const Windows& win, F f, InRows in_rows) {
  parallel_for(shape.x.planes(), 1, [&](int64_t begin, int64_t end) {
    if (win.block != 1) {
      for (int64_t i = begin; i < end; ++i) f(i);
    } else if (begin < end) {
      Rows last(win);
      for (int64_t i = begin; i < end; ++i) in_rows(i, last);
    }
  });
}

}  // namespace

int64_t place_bytes(const Pool2dParams& params) { return params.kernel.h * params.kernel.w <= 256 ? 1 : 4; }

template <class T> void max_pool_forward(const Pool2dShape& shape, const T* x, T* y, void* places) {
  const Windows win(shape);
  visit_places(shape, [&](auto zero) {
    using Place = decltype(zero);
    auto* find = find_largest<0, T, Place>;
    if constexpr (sizeof(Place) == 1) {  // as places in small windows are
      const Size2 kernel = shape.params.kernel;
      if (kernel.h == 2 && kernel.w == 2) find = find_largest<2, T, Place>;
      if (kernel.h == 3 && kernel.w == 3) find = find_largest<3, T, Place>;
    }
    const int64_t pixels = shape.x.plane(), windows = shape.y.plane();
    auto* found = static_cast<Place*>(places);
    each_plane<ForwardRows>(
        shape, win, [&](int64_t i) { find(x + i * pixels, y + i * windows, found + i * windows, win); },
        [&](int64_t i, ForwardRows& last) {
          find_largest_in_rows(x + i * pixels, y + i * windows, found + i * windows, win, last);
        });
  });
}

template <class T> void max_pool_backward(const Pool2dShape& shape, const T* g, const void* places, T* dx) {
  const Windows win(shape);
  visit_places(shape, [&](auto zero) {
    using Place = decltype(zero);
    const int64_t pixels = shape.x.plane(), windows = shape.y.plane();
    const auto* found = static_cast<const Place*>(places);
    each_plane<BackwardRows>(
        shape, win, [&](int64_t i) { gather(g + i * windows, found + i * windows, dx + i * pixels, win); },
        [&](int64_t i, BackwardRows& last) {
          gather_in_rows(g + i * windows, found + i * windows, dx + i * pixels, win, last);
        });
  });
}

template void max_pool_forward(const Pool2dShape&, const float*, float*, void*);
template void max_pool_forward(const Pool2dShape&, const bf16*, bf16*, void*);
template void max_pool_backward(const Pool2dShape&, const float*, const void*, float*);
template void max_pool_backward(const Pool2dShape&, const bf16*, const void*, bf16*);

}  // namespace az
