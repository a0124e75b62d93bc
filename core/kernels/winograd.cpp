#include "core/kernels/winograd.h"

#include <algorithm>
#include <cstring>

#include "core/base/threads.h"
#include "core/kernels/winograd_tile.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // as in winograd_tile.h

namespace az::winograd {
namespace {

// Tiles that are worked on together: a transformed one is read for all outputs of a group, a packed weight for all these tiles.
template <int W> constexpr int64_t together = (24 + Cut<W>::rows - 1) / Cut<W>::rows* Cut<W>::rows;
constexpr int64_t most_together = 28, most_outputs_together = 32;

// Results of so many bytes are stored past the caches, where whole lines are written one after another. Measured on two cores
// with AVX-512 (tests/benchmarks/README.md).
constexpr int64_t large_bytes = int64_t(8) << 20;
int64_t bytes_of(const ImageShape& shape, size_t number) { return shape.planes() * shape.plane() * int64_t(number); }

// The weight for W outputs from `o` on, of input i: into [36] vectors, `apart` floats apart.
struct Weight {
  const float *elements, *scale;  // scale: of the outputs, or nullptr
  int64_t outputs, inputs;        // of the products
  bool forward;                   // otherwise the weight's first axis are the inputs, and its taps come in reverse

  template <int W> AZ_INLINE void pack(int64_t o, int64_t i, float* to, int64_t apart) const {
    float kernel[9 * W] = {};
    const int64_t o_step = forward ? inputs * 9 : 9, i_step = forward ? 9 : outputs * 9;
    if (i < inputs) {
      for (int64_t lane = 0; lane < std::min<int64_t>(W, outputs - o); ++lane) {
        const float* from = elements + (o + lane) * o_step + i * i_step;
        const float factor = scale ? scale[o + lane] : 1;
        for (int k = 0; k < 9; ++k) kernel[k * W + lane] = factor * from[forward ? k : 8 - k];
      }
    }
    Vector<W> half[side * 3];
    for (int j = 0; j < 3; ++j) {
      Vector<W> d[3], l[side];
      for (int k = 0; k < 3; ++k) d[k] = load<W>(kernel + (k * 3 + j) * W);
      weight_lines(d, l);
      for (int k = 0; k < side; ++k) half[k * 3 + j] = l[k];
    }
    for (int k = 0; k < side; ++k) {
      Vector<W> l[side];
      weight_lines(half + k * 3, l);
      for (int j = 0; j < side; ++j) store(to + (k * side + j) * apart, l[j]);
    }
  }
};

// Packs the weight of outputs [o, o + N * W) and of all inputs to [36, inputs, N * W] or, where fewer outputs are left, W at a
// time to several of [36, inputs, W]. Inputs are counted in Numbers; `inputs` and the outputs up to `last` are whole blocks.
template <class By> struct PackKernel {
  using Number = typename By::Number;
  template <int W, int N> static AZ_INLINE void pack(const Weight& weight, int64_t inputs, int64_t o, Number* packed) {
    constexpr int64_t some = 8, row = N * W;
    float packed_some[points * some * row];  // the points are far from one another in `packed`
    for (int64_t first = 0; first < inputs; first += some) {
      const int64_t count = std::min(some, inputs - first);
      for (int64_t i = 0; i < count; ++i) {
        for (int n = 0; n < N; ++n) weight.pack<W>(o + n * W, first + i, packed_some + i * row + n * W, some * row);
      }
      for (int64_t k = 0; k < points; ++k) {
        const float* from = packed_some + k * some * row;
        Number* to = packed + (k * inputs + first) / By::each * row;
        if constexpr (By::each == 1) {
          std::memcpy(to, from, size_t(count * row) * sizeof(float));
        } else {
          for (int64_t i = 0; i < count; i += 2, to += row) {
            for (int64_t n = 0; n < row; n += W) {
              const Pairs both = pairs(load<W>(from + i * row + n), load<W>(from + (i + 1) * row + n));
              std::memcpy(to + n, &both, sizeof both);
            }
          }
        }
      }
    }
  }
  template <int W> static AZ_INLINE void run(const Weight& weight, int64_t inputs, int64_t last, int64_t o, float* scratch) {
    constexpr int N = Cut<W>::vectors;
    auto* packed = reinterpret_cast<Number*>(scratch);
    if (o + N * W <= last) return pack<W, N>(weight, inputs, o, packed);
    for (; o < last; o += W, packed += points * inputs / By::each * W) pack<W, 1>(weight, inputs, o, packed);
  }
};

// A convolution by forward(), also that which gives the gradient of x.
template <class T> struct Problem {
  ImageShape x, y;
  Size2 padding;
  const T* from;
  Weight weight;
  Epilogue<T> then;
  T* to;
  float* scratch;
};
// The outputs [first, last), with their packed weight. All tiles are computed for one such group before the next one is packed.
struct OutputGroup {
  int64_t first, last;
  const float* packed;
};

// Numbers of the packed weights of so many outputs: 10 MiB at the most, where those of one product are not more.
int64_t packed_size(int64_t numbers, int64_t outputs) {
  constexpr int64_t most = (int64_t(10) << 20) / int64_t(sizeof(float));
  return points * numbers * std::min(outputs, std::max(most_outputs_together, most / (points * numbers)));
}
// Outputs of a group: as many as fit into packed_size(), in whole products.
int64_t outputs_at_once(int64_t numbers, int64_t outputs, int64_t of_product) {
  const int64_t fitting = packed_size(numbers, outputs) / (points * numbers);
  return fitting == outputs ? outputs : fitting / of_product * of_product;
}
int64_t scratch_of_part(int64_t numbers) { return points * apart(most_together) * (row_of(numbers) + most_outputs_together); }

// Transforms the tiles [first, first + count) to `v` [36, apart(together), row].
template <class By, int W, class T>
AZ_INLINE void transform_tiles(const Problem<T>& p, int64_t first, int64_t count, float* v) {
  const Tiles tiles(p.y);
  const Pixels pixels(p.x);
  const int64_t row = row_of(pixels.channels() / By::each);
  for (int64_t t = 0; t < count; ++t) {
    const Tiles::Place at = tiles[first + t], next = tiles[std::min(first + t + 1, tiles.count - 1)];
    const auto transform_to = [&](auto to) AZ_INLINED {
      transform_tile<W, side>(
          p.from, pixels, at, next, p.padding, 0, pixels.channels(),
          [](const Vector<W>* d, Vector<W>* l) AZ_INLINED { image_lines(d, l); }, Rows{}, to,
          apart(together<W>) * row * By::each);
    };
    if constexpr (By::each == 1)
      transform_to(ToFloats{v + t * row});
    else
      transform_to(ToBf16{reinterpret_cast<bf16*>(v + t * row)});
  }
}

// Makes the results of N * W channels, from channel o on, from the products `m` [36, apart(together), N * W].
template <int W, int N, class T>
AZ_INLINE void results(const Problem<T>& p, int64_t first, int64_t count, int64_t o, const float* m) {
  const Tiles tiles(p.y);
  const Pixels pixels(p.y);
  const bool past_caches = bytes_of(p.y, sizeof(T)) >= large_bytes && (pixels.block == W || W * sizeof(T) >= 64);
  const PixelEnd<T> end{p.then, p.to, past_caches};
  for (int64_t t = 0; t < count; ++t) {
    const Tiles::Place at = tiles[first + t];
    const int64_t rows = std::min<int64_t>(step, p.y.h - at.y), columns = std::min<int64_t>(step, p.y.w - at.x);
    for (int n = 0; n < N; ++n) {
      const int64_t begin = pixels.first(at.image, o + n * W) + (at.y * p.y.w + at.x) * pixels.block;
      float half[step * side * W];
      for (int j = 0; j < side; ++j) {
        Vector<W> d[side], l[step];
        for (int i = 0; i < side; ++i) d[i] = load<W>(m + ((i * side + j) * apart(together<W>) + t) * N * W + n * W);
        result_lines(d, l);
        for (int i = 0; i < step; ++i) store(half + (i * side + j) * W, l[i]);
      }
      const int64_t channels = p.y.c - (o + n * W);  // of the vector, W or more where all are
      const Vector<W> bias = p.then.bias ? load<W>(p.then.bias + o + n * W) : Vector<W>{};
      for (int64_t i = 0; i < rows; ++i) {
        Vector<W> d[side], l[step];
        for (int j = 0; j < side; ++j) d[j] = load<W>(half + (i * side + j) * W);
        result_lines(d, l);
        for (int64_t j = 0; j < columns; ++j) {
          end.template put<W>(begin + (i * p.y.w + j) * pixels.block, l[j], bias, channels);
        }
      }
    }
  }
}

template <class By, int W, int N, class T> AZ_INLINE void products(const Problem<T>& p, const float* packed, int64_t first,
                                                                   int64_t count, int64_t o, const float* transformed,
                                                                   float* m) {
  const auto *u = reinterpret_cast<const typename By::Number*>(packed),
             *v = reinterpret_cast<const typename By::Number*>(transformed);
  const int64_t inputs = Pixels(p.x).channels() / By::each, row = row_of(inputs);
  for (int64_t k = 0; k < points; ++k) {
    for (int64_t t = 0; t < count; t += Cut<W>::rows)  // rows beyond the last hold what nobody reads
      multiply<W, Cut<W>::rows, N>(inputs, v + (k * apart(together<W>) + t) * row, row, 1, u + k * inputs * N * W, N * W,
                                   m + (k * apart(together<W>) + t) * N * W, N * W, true);
  }
  results<W, N>(p, first, count, o, m);
}

template <class By> struct TilesKernel {
  template <int W, class T>
  static AZ_INLINE void run(const Problem<T>& p, const OutputGroup& group, int64_t first, int64_t last, float* scratch) {
    const int64_t inputs = Pixels(p.x).channels() / By::each;
    constexpr int N = Cut<W>::vectors;
    float *v = scratch, *m = scratch + points * apart(together<W>) * row_of(inputs);
    for (; first < last; first += together<W>) {
      const int64_t count = std::min(together<W>, last - first);
      transform_tiles<By, W>(p, first, count, v);
      const float* u = group.packed;
      int64_t o = group.first;
      for (; o + N * W <= group.last; o += N * W, u += points * inputs * N * W) products<By, W, N>(p, u, first, count, o, v, m);
      for (; o < group.last; o += W, u += points * inputs * W) products<By, W, 1>(p, u, first, count, o, v, m);
    }
    stream_end();
  }
};

// Packs the weight for outputs [first, last), whole products but for the last ones of all.
template <class T>
void pack(const Weight& weight, int64_t inputs, int64_t first, int64_t last, const Vectors& vectors, float* packed) {
  const int64_t chunk = outputs_together(vectors.width), numbers = numbers_of(inputs, vectors);
  parallel_for((last - first + chunk - 1) / chunk, std::max<int64_t>(1, 512 / inputs), [&](int64_t begin, int64_t end) {
    for (; begin < end; ++begin)
      run_with<PackKernel, T, const Weight&>(vectors, weight, inputs, last, first + begin * chunk,
                                             packed + points * numbers * begin * chunk);
  });
}

template <class T> void run(const Problem<T>& p, const Vectors& vectors) {
  const int64_t tiles = Tiles(p.y).count, parts = std::clamp<int64_t>(tiles / 14, 1, thread_count());
  const int64_t inputs = Pixels(p.x).channels(), outputs = Pixels(p.y).channels(), numbers = numbers_of(inputs, vectors);
  const int64_t each = scratch_of_part(numbers), at_once = outputs_at_once(numbers, outputs, outputs_together(vectors.width));
  float *packed = p.scratch, *of_parts = packed + packed_size(numbers, outputs);
  for (int64_t o = 0; o < outputs; o += at_once) {
    const OutputGroup group{o, std::min(outputs, o + at_once), packed};
    pack<T>(p.weight, inputs, group.first, group.last, vectors, packed);
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part) {
        const int64_t first = tiles * part / parts, last = tiles * (part + 1) / parts;
        run_with<TilesKernel, T, const Problem<T>&, const OutputGroup&>(vectors, p, group, first, last, of_parts + part * each);
      }
    });
  }
}

}  // namespace

bool takes(const Conv2dShape& s, const Vectors& vectors) {
  const Conv2dParams& p = s.params;
  const auto is_one = [](Size2 size) { return size.h == 1 && size.w == 1; };
  const auto fits = [](int64_t in, int64_t out, int64_t padding) {
    return padding >= 0 && padding <= 2 && out == in + 2 * padding - 2 && out > 0;
  };
  return s.kernel.h == 3 && s.kernel.w == 3 && is_one(p.stride) && is_one(p.dilation) && p.groups == 1 && s.x.n > 0 &&
         s.x.c > 0 && s.y.c > 0 && fits(s.x.h, s.y.h, p.padding.h) && fits(s.x.w, s.y.w, p.padding.w) &&
         s.x.block % vectors.width == 0 && s.y.block % vectors.width == 0 && vectors.width <= simd_width() &&
         (!vectors.of_bf16 || (vectors.width == 16 && multiplies_bf16()));
}

bool is_worth_transforming(const Conv2dShape& s) { return Tiles(s.y).count >= 8; }

template <class T> void forward(const T* x, const float* weight, const float* scale, const Epilogue<T>& then, T* y,
                                const Conv2dShape& s, const Vectors& vectors, float* scratch) {
  run<T>({s.x, s.y, s.params.padding, x, {weight, scale, s.y.c, s.x.c, true}, then, y, scratch}, vectors);
}

template <class T>
void backward_data(const T* g, const float* weight, T* dx, const Conv2dShape& s, const Vectors& vectors, float* scratch) {
  const Size2 padding{2 - s.params.padding.h, 2 - s.params.padding.w};
  run<T>({s.y, s.x, padding, g, {weight, nullptr, s.x.c, s.y.c, false}, {}, dx, scratch}, vectors);
}

template void forward(const float*, const float*, const float*, const Epilogue<float>&, float*, const Conv2dShape&,
                      const Vectors&, float*);
template void forward(const bf16*, const float*, const float*, const Epilogue<bf16>&, bf16*, const Conv2dShape&, const Vectors&,
                      float*);
template void backward_data(const float*, const float*, float*, const Conv2dShape&, const Vectors&, float*);
template void backward_data(const bf16*, const float*, bf16*, const Conv2dShape&, const Vectors&, float*);

int64_t images_to_try(const Conv2dShape& s, size_t number) {
  const int64_t of_threads = 4 * most_together * thread_count();
  constexpr int64_t tiles_of_pass = summed_together * PairsOfBf16::each;  // of a weight's gradient; with f32 more passes
  const int64_t tiles = Tiles(s.y).count / s.y.n;                         // of an image
  int64_t images = (std::max(of_threads, 2 * tiles_of_pass + 1) + tiles - 1) / tiles;
  for (const ImageShape& result : {s.x, s.y}) {
    const int64_t bytes = bytes_of(result, number), of_image = bytes / result.n;
    if (bytes >= large_bytes) images = std::max(images, (large_bytes + of_image - 1) / of_image);
  }
  return std::min(s.x.n, images);
}

int64_t scratch_size(const Conv2dShape& shape, const Vectors& vectors) {
  const auto size = [&](int64_t inputs, int64_t outputs) {
    const int64_t numbers = numbers_of(inputs, vectors);
    return thread_count() * scratch_of_part(numbers) + packed_size(numbers, outputs);
  };
  const int64_t x = Pixels(shape.x).channels(), y = Pixels(shape.y).channels();
  return std::max(size(x, y), size(y, x));
}

}  // namespace az::winograd
