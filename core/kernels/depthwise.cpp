#include "core/kernels/depthwise.h"

#include <cstring>
#include <vector>

#include "core/base/threads.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // as in lanes.h

namespace az::depthwise {
namespace {

// Images are shared out in so many parts at most, whatever the number of threads; the sums of the parts are added up in the
// end.
constexpr int64_t most_parts = 16;

// Says, along one axis, where the numbers lie that a result at `at` is made of. y at o is made of the weight and of x at o *
// stride + k * dilation - padding; the gradient of x at i is made of g at every o for which that is i.
struct Axis {
  int64_t kernel, stride, padding, dilation;
  bool of_y;

  // f(k, source) for each tap that has one, inside the image or not.
  template <class F> AZ_INLINE void each(int64_t at, F f) const {
    for (int64_t k = 0; k < kernel; ++k) {
      const int64_t from = of_y ? at * stride + k * dilation - padding : at + padding - k * dilation;
      if (of_y)
        f(k, from);
      else if (from % stride == 0)
        f(k, from / stride);
    }
  }
  // The first and the last source inside an image of so many; the last before the first where there is none.
  struct Range {
    int64_t first, last;
  };
  AZ_INLINE Range inside(int64_t at, int64_t size) const {
    Range range{size, -1};
    each(at, [&](int64_t, int64_t from) AZ_INLINED {
      if (from >= 0 && from < size) range = {std::min(range.first, from), std::max(range.last, from)};
    });
    return range;
  }
  // Results this far apart have the same taps, with sources `step()` apart.
  int64_t period() const { return of_y ? 1 : stride; }
  int64_t step() const { return of_y ? stride : 1; }
  // The sources of one result are less than so many apart.
  int64_t reach() const { return of_y ? (kernel - 1) * dilation + 1 : (kernel - 1) * dilation / stride + 1; }
};
Axis rows_axis(const Conv2dShape& s, bool of_y) {
  return {s.kernel.h, s.params.stride.h, s.params.padding.h, s.params.dilation.h, of_y};
}
Axis columns_axis(const Conv2dShape& s, bool of_y) {
  return {s.kernel.w, s.params.stride.w, s.params.padding.w, s.params.dilation.w, of_y};
}

// A range of columns; it may begin and end beyond the image.
struct Columns {
  int64_t first = 0, last = -1;
  int64_t count() const { return last - first + 1; }
};
// Those that results [0, width) are made of.
Columns sources(const Axis& axis, int64_t width) {
  Columns all;
  bool any = false;
  const auto take = [&](int64_t, int64_t at) {
    all = {any ? std::min(all.first, at) : at, any ? std::max(all.last, at) : at};
    any = true;
  };
  for (int64_t at = 0; at < std::min(width, axis.period()); ++at) {
    axis.each(at, take);
    axis.each(at + (width - 1 - at) / axis.period() * axis.period(), take);
  }
  return all;
}

// The number of rows of an image that lie under the window at once.
int64_t rows_at_once(const Axis& axis, const ImageShape& image) { return std::min(axis.reach(), image.h); }

// Some rows of a plane, W channels wide, as floats: the last ones that were loaded, in turn. Columns outside the image are 0.
template <int W, class T> class Rows {
 public:
  Rows(const ImageShape& image, const Columns& columns, int64_t count)
      : image_(image),
        columns_(columns),
        count_(count),
        memory_(size_t(count * columns.count() * W) + 16),
        rows_(memory_.data() + (64 - reinterpret_cast<uintptr_t>(memory_.data()) % 64) % 64 / sizeof(float)) {}

  // Goes on with the plane whose first pixel is there.
  AZ_INLINE void begin(const T* plane) {
    plane_ = plane;
    next_ = 0;
  }
  // Loads these rows and all before them that have a place: a later result may need one that lies between.
  AZ_INLINE void take(const Axis::Range& rows) {
    if (rows.last < rows.first) return;
    const int64_t from = std::max<int64_t>(columns_.first, 0), to = std::min(columns_.last + 1, image_.w);
    for (next_ = std::max({next_, rows.last + 1 - count_, int64_t(0)}); next_ <= rows.last; ++next_) {
      const T* pixel = plane_ + (next_ * image_.w + from) * image_.block;
      float* into = at(next_) + from * W;
      for (int64_t x = from; x < to; ++x, pixel += image_.block, into += W) store(into, load<W>(pixel));
    }
  }
  // Column 0 of a row.
  AZ_INLINE float* at(int64_t row) const { return rows_ + (row % count_ * columns_.count() - columns_.first) * W; }

 private:
  ImageShape image_;
  Columns columns_;
  int64_t count_;
  std::vector<float> memory_;
  float* rows_;
  const T* plane_ = nullptr;
  int64_t next_ = 0;
};

// The first pixel of channels [c, c + W) of an image.
int64_t first_of(const ImageShape& s, int64_t image, int64_t c) {
  return (image * s.blocks() + c / s.block) * s.plane() + c % s.block;
}
int64_t channels_held(const ImageShape& s) { return s.blocks() * s.block; }

// y, or the gradient of x, from the other one.
template <class T> struct Problem {
  ImageShape from_shape, to_shape;
  Axis rows, columns;
  const T* from;
  const float* packed;
  PixelEnd<T> end;
};

// A row that results are made of, with its row of the weight; and a tap of such a row, with the place that it has for the first
// result. Both are in floats.
struct TapRow {
  const float *from, *weight;
};
struct Tap {
  int64_t from, weight;
};

// N results whose sources lie `apart` floats apart, the first of them at to[pixel], the others `gap` elements apart.
template <int W, int N, class T> AZ_INLINE void results(const std::vector<TapRow>& rows, const std::vector<Tap>& taps,
                                                        int64_t offset, int64_t apart, const PixelEnd<T>& end, int64_t pixel,
                                                        int64_t gap, const Vector<W>& bias) {
  Vector<W> sums[N] = {};
  for (const TapRow& row : rows)
    for (const Tap& tap : taps) {
      const Vector<W> weight = load<W>(row.weight + tap.weight);
      const float* from = row.from + tap.from + offset;
      for (int i = 0; i < N; ++i) sums[i] += weight * load<W>(from + i * apart);
    }
  // Channels that fill up a block are sums of zeros.
  if (!end.then.residual && !end.then.relu)
    for (int i = 0; i < N; ++i) store(end.to + pixel + i * gap, sums[i] + bias);
  else
    for (int i = 0; i < N; ++i) end.template put<W>(pixel + i * gap, sums[i], bias, W);
}

// Planes [first, last) of W channels each.
template <int W, class T> AZ_INLINE void run_planes(const Problem<T>& p, int64_t first, int64_t last) {
  const ImageShape &in = p.from_shape, &out = p.to_shape;
  Rows<W, T> rows(in, sources(p.columns, out.w), rows_at_once(p.rows, in));
  const int64_t apart = p.columns.step() * W, period = p.columns.period(), vectors = channels_held(in) / W;
  const int64_t gap = period * out.block;
  std::vector<std::vector<Tap>> of_phase(size_t(std::min(period, out.w)));
  for (size_t phase = 0; phase < of_phase.size(); ++phase)
    p.columns.each(int64_t(phase), [&](int64_t k, int64_t column) { of_phase[phase].push_back({column * W, k * W}); });
  std::vector<TapRow> tap_rows;
  for (int64_t plane = first; plane < last; ++plane) {
    const int64_t image = plane / vectors, c = plane % vectors * W;
    const float* weight = p.packed + c * p.rows.kernel * p.columns.kernel;
    const Vector<W> bias = p.end.then.bias ? load<W>(p.end.then.bias + c) : Vector<W>{};
    rows.begin(p.from + first_of(in, image, c));
    for (int64_t y = 0; y < out.h; ++y) {
      rows.take(p.rows.inside(y, in.h));
      tap_rows.clear();
      p.rows.each(y, [&](int64_t k, int64_t row) AZ_INLINED {
        if (row >= 0 && row < in.h) tap_rows.push_back({rows.at(row), weight + k * p.columns.kernel * W});
      });
      for (size_t phase = 0; phase < of_phase.size(); ++phase) {
        const int64_t count = (out.w - int64_t(phase) + period - 1) / period;
        const int64_t begin = first_of(out, image, c) + (y * out.w + int64_t(phase)) * out.block;
        int64_t x = 0;
        const auto some = [&]<int N>() AZ_INLINED {
          for (; x + N <= count; x += N)
            results<W, N>(tap_rows, of_phase[phase], x * apart, apart, p.end, begin + x * gap, gap, bias);
        };
        if constexpr (W == 16) some.template operator()<16>();
        some.template operator()<8>();
        some.template operator()<4>();
        some.template operator()<2>();
        some.template operator()<1>();
      }
    }
  }
}

struct PlanesKernel {
  template <int W, class T> static AZ_INLINE void run(const Problem<T>& p, int64_t first, int64_t last) {
    run_planes<W>(p, first, last);
  }
};

template <class T> void run(const Problem<T>& p, int width) {
  parallel_for(p.to_shape.n * channels_held(p.to_shape) / width, 1, [&](int64_t begin, int64_t end) {
    run_at_width<PlanesKernel, const Problem<T>&, int64_t, int64_t>(width, p, begin, end);
  });
}

// Adds to sums[t], for taps 0 to N - 1, the products of a row of g and what each tap lies on in a row of x, `gap` floats apart.
// Four sums a tap are added up alongside.
template <int W, int N>
AZ_INLINE void add_products(const float* g, int64_t count, const float* x, int64_t apart, int64_t gap, float* sums) {
  constexpr int lanes = 4;
  Vector<W> all[lanes][N] = {};
  const auto add = [&](int64_t at, int lane) AZ_INLINED {
    const Vector<W> up = load<W>(g + at * W);
    for (int t = 0; t < N; ++t) all[lane][t] += up * load<W>(x + at * apart + t * gap);
  };
  int64_t at = 0;
  for (; at + lanes <= count; at += lanes)
    for (int lane = 0; lane < lanes; ++lane) add(at + lane, lane);
  for (; at < count; ++at) add(at, 0);
  for (int t = 0; t < N; ++t) store(sums + t * W, load<W>(sums + t * W) + ((all[0][t] + all[1][t]) + (all[2][t] + all[3][t])));
}

template <class T> struct WeightsProblem {
  ImageShape x, g;
  Axis rows, columns;
  const T *from_x, *from_g;
  int64_t parts;   // of the images
  double* totals;  // [parts, kernel.h * kernel.w, channels held]
};

// Units [first, last) of W channels of a part of the images each.
template <int W, class T> AZ_INLINE void run_units(const WeightsProblem<T>& p, int64_t first, int64_t last) {
  Rows<W, T> x_rows(p.x, sources(p.columns, p.g.w), rows_at_once(p.rows, p.x)), g_row(p.g, {0, p.g.w - 1}, 1);
  const int64_t channels = channels_held(p.x), vectors = channels / W, taps = p.rows.kernel * p.columns.kernel;
  const int64_t apart = p.columns.stride * W, gap = p.columns.dilation * W;
  std::vector<float> sums(size_t(taps * W));
  for (int64_t unit = first; unit < last; ++unit) {
    const int64_t part = unit / vectors, c = unit % vectors * W;
    double* totals = p.totals + part * taps * channels + c;
    for (int64_t image = p.x.n * part / p.parts; image < p.x.n * (part + 1) / p.parts; ++image) {
      std::fill(sums.begin(), sums.end(), 0.0F);
      x_rows.begin(p.from_x + first_of(p.x, image, c));
      g_row.begin(p.from_g + first_of(p.g, image, c));
      for (int64_t y = 0; y < p.g.h; ++y) {
        g_row.take({y, y});
        x_rows.take(p.rows.inside(y, p.x.h));
        p.rows.each(y, [&](int64_t i, int64_t row) AZ_INLINED {
          if (row < 0 || row >= p.x.h) return;
          const float *g = g_row.at(y), *x = x_rows.at(row) - p.columns.padding * W;
          float* of_row = sums.data() + i * p.columns.kernel * W;
          int64_t j = 0;
          for (; j + 3 <= p.columns.kernel; j += 3) add_products<W, 3>(g, p.g.w, x + j * gap, apart, gap, of_row + j * W);
          for (; j < p.columns.kernel; ++j) add_products<W, 1>(g, p.g.w, x + j * gap, apart, gap, of_row + j * W);
        });
      }
      for (int64_t t = 0; t < taps; ++t)
        for (int64_t lane = 0; lane < W; ++lane) totals[t * channels + lane] += double(sums[size_t(t * W + lane)]);
    }
  }
}

struct UnitsKernel {
  template <int W, class T> static AZ_INLINE void run(const WeightsProblem<T>& p, int64_t first, int64_t last) {
    run_units<W>(p, first, last);
  }
};

}  // namespace

bool takes(const Conv2dShape& s, int width) {
  constexpr int64_t most_taps = 64, most_floats = 1 << 16;  // 256 KiB
  const auto floats = [&](bool of_y) {
    const ImageShape &from = of_y ? s.x : s.y, &to = of_y ? s.y : s.x;
    return rows_at_once(rows_axis(s, of_y), from) * sources(columns_axis(s, of_y), to.w).count() * width;
  };
  if (s.kernel.h * s.kernel.w > most_taps || s.x.n == 0) return false;
  if (std::max(floats(true), floats(false)) > most_floats) return false;
  return width <= simd_width() && s.params.groups > 1 && s.params.groups == s.x.c && s.x.c == s.y.c && s.x.block == s.y.block &&
         s.x.block % width == 0;
}

int64_t images_to_try(const Conv2dShape& s) { return std::min(s.x.n, most_parts + 1); }

int64_t packed_size(const Conv2dShape& s) { return channels_held(s.x) * s.kernel.h * s.kernel.w; }

// Packs the weight to [vectors of channels, kh, kw, width].
void pack(const float* weight, const float* scale, const Conv2dShape& s, int width, float* packed) {
  const int64_t taps = s.kernel.h * s.kernel.w;
  for (int64_t c = 0; c < channels_held(s.x); ++c)
    for (int64_t t = 0; t < taps; ++t)
      packed[(c / width * taps + t) * width + c % width] = c < s.x.c ? (scale ? scale[c] : 1) * weight[c * taps + t] : 0;
}

template <class T>
void forward(const T* x, const float* packed, const Epilogue<T>& then, T* y, const Conv2dShape& s, int width) {
  run<T>({s.x, s.y, rows_axis(s, true), columns_axis(s, true), x, packed, {then, y, false}}, width);
}

template <class T> void backward_data(const T* g, const float* packed, T* dx, const Conv2dShape& s, int width) {
  run<T>({s.y, s.x, rows_axis(s, false), columns_axis(s, false), g, packed, {{}, dx, false}}, width);
}

template <class T> void backward_weights(const T* x, const T* g, float* dw, const Conv2dShape& s, int width) {
  const int64_t channels = channels_held(s.x), taps = s.kernel.h * s.kernel.w,
                parts = std::clamp<int64_t>(s.x.n, 1, most_parts);
  std::vector<double> totals(size_t(parts * taps * channels));
  const WeightsProblem<T> p{s.x, s.y, rows_axis(s, true), columns_axis(s, true), x, g, parts, totals.data()};
  parallel_for(parts * channels / width, 1, [&](int64_t begin, int64_t end) {
    run_at_width<UnitsKernel, const WeightsProblem<T>&, int64_t, int64_t>(width, p, begin, end);
  });
  for (int64_t c = 0; c < s.x.c; ++c)
    for (int64_t t = 0; t < taps; ++t) {
      double sum = 0;
      for (int64_t part = 0; part < parts; ++part) sum += totals[size_t((part * taps + t) * channels + c)];
      dw[c * taps + t] = float(sum);
    }
}

#define AZ_FOR(T)                                                                                 \
  template void forward(const T*, const float*, const Epilogue<T>&, T*, const Conv2dShape&, int); \
  template void backward_data(const T*, const float*, T*, const Conv2dShape&, int);               \
  template void backward_weights(const T*, const T*, float*, const Conv2dShape&, int);
AZ_FOR(float)
AZ_FOR(bf16)
#undef AZ_FOR

}  // namespace az::depthwise
