#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "core/kernels/image_shape.h"
#include "core/kernels/lanes.h"

// One tile of F(4x4, 3x3), of as many channels as a vector has lanes, and the product of a few tiles with a weight. The points
// are 0, 1, -1, 2, -2 and infinity. For the kernels of winograd.h only: everything is inlined into loops compiled for one
// instruction set.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

namespace az::winograd {

constexpr int side = 6, points = side * side;  // of a transformed tile
constexpr int step = 4;                        // pixels of the result from one tile to the next

// How the kernels are cut for an instruction set: vectors of W channels, products of so many tiles by so many vectors at a
// time, so that the sums fill the registers of AVX-512, AVX2 and NEON.
template <int W> struct Cut;
template <> struct Cut<16> { static constexpr int rows = 14, vectors = 2; };
template <> struct Cut<8> { static constexpr int rows = 6, vectors = 2; };
template <> struct Cut<4> { static constexpr int rows = 6, vectors = 4; };

// What is multiplied: floats, or bf16 two by two, whose products are added up in f32. A Number is what one step of a product
// takes of each row: `each` numbers.
struct Floats {
  using Number = float;
  static constexpr int each = 1;
};
struct PairsOfBf16 {
  using Number = uint32_t;
  static constexpr int each = 2;
};

// How many Numbers hold so many numbers.
inline int64_t numbers_of(int64_t numbers, const Vectors& vectors) { return vectors.of_bf16 ? numbers / 2 : numbers; }

// Runs Kernel<Floats>, or Kernel<PairsOfBf16> where images, of T, are bf16, compiled for these vectors.
template <template <class> class Kernel, class T, class... Args> void run_with(const Vectors& vectors, Args... args) {
#if defined(AZ_BF16_PRODUCTS)
  if constexpr (std::is_same_v<T, bf16>) {
    if (vectors.of_bf16) return run_in_16<Kernel<PairsOfBf16>, Args...>(args...);
  }
#endif
  run_at_width<Kernel<Floats>, Args...>(vectors.width, args...);
}

// Numbers of four bytes from one transformed tile to the next, and tiles from one point to the next: more than there are, whose
// number may be a power of two, so that what is written together does not share sets of the cache.
inline int64_t row_of(int64_t numbers) { return numbers + 16; }
constexpr int64_t apart(int64_t together) { return together | 1; }

// The outputs of a product.
inline int64_t outputs_together(int width) {
  return width == 16 ? 16 * Cut<16>::vectors : width == 8 ? 8 * Cut<8>::vectors : 4 * Cut<4>::vectors;
}

// So many Numbers of transformed tiles are multiplied before their products are added to the sums of a weight's gradient. They
// stay in a core's own cache meanwhile, and few terms a sum keep their last digits. Measured at batch 128 on a Xeon with 2 MiB
// of cache a core: 180 to 450, which fill 4 MB, take 10 to 40 % more time at 64 channels and fewer; 128 take as much as 64, but
// for 256 channels, where they take 3 % less; 32 take up to a sixth more at 128 channels and more.
constexpr int64_t summed_together = 64;

// B^T d: of six lines of an image's tile.
template <class V> AZ_INLINE void image_lines(const V* d, V* to) {
  const V even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1], near = d[4] - d[2], far = 2 * (d[3] - d[1]);
  to[0] = 4 * d[0] - 5 * d[2] + d[4];
  to[1] = even + odd;
  to[2] = even - odd;
  to[3] = near + far;
  to[4] = near - far;
  to[5] = 4 * d[1] - 5 * d[3] + d[5];
}

// A^T m: six lines of products become four of the result.
template <class V> AZ_INLINE void result_lines(const V* m, V* to) {
  const V sum = m[1] + m[2], difference = m[1] - m[2], far_sum = m[3] + m[4], far_difference = m[3] - m[4];
  to[0] = m[0] + sum + far_sum;
  to[1] = difference + 2 * far_difference;
  to[2] = sum + 4 * far_sum;
  to[3] = difference + 8 * far_difference + m[5];
}

// A g: four lines of the result's gradient become six.
template <class V> AZ_INLINE void gradient_lines(const V* g, V* to) {
  const V even = g[0] + g[2], odd = g[1] + g[3], far_even = g[0] + 4 * g[2], far_odd = 2 * g[1] + 8 * g[3];
  to[0] = g[0];
  to[1] = even + odd;
  to[2] = even - odd;
  to[3] = far_even + far_odd;
  to[4] = far_even - far_odd;
  to[5] = g[3];
}

// G w: three lines of a weight become six.
template <class V> AZ_INLINE void weight_lines(const V* w, V* to) {
  const V ends = (w[0] + w[2]) * (-1.0F / 6), middle = w[1] * (1.0F / 6), far = w[0] * (1.0F / 24) + w[2] * (1.0F / 6),
          far_middle = w[1] * (1.0F / 12);
  to[0] = w[0] * 0.25F;
  to[1] = ends - middle;
  to[2] = ends + middle;
  to[3] = far + far_middle;
  to[4] = far - far_middle;
  to[5] = w[2];
}

// G^T u: six lines of a transformed weight's gradient become three.
template <class V> AZ_INLINE void weight_gradient_lines(const V* u, V* to) {
  const V sum = (u[1] + u[2]) * (-1.0F / 6), far_sum = u[3] + u[4];
  to[0] = u[0] * 0.25F + sum + far_sum * (1.0F / 24);
  to[1] = (u[2] - u[1]) * (1.0F / 6) + (u[3] - u[4]) * (1.0F / 12);
  to[2] = sum + far_sum * (1.0F / 6) + u[5];
}

// Says where the vectors of an image's channels are.
struct Pixels {
  int64_t h, w, block, blocks;
  explicit Pixels(const ImageShape& shape) : h(shape.h), w(shape.w), block(shape.block), blocks(shape.blocks()) {}
  int64_t channels() const { return block * blocks; }  // padding included
  // Returns where the vector of an image's channels from c on lies at pixel 0; pixels are `block` elements apart.
  AZ_INLINE int64_t first(int64_t image, int64_t c) const { return (image * blocks + c / block) * h * w * block + c % block; }
};

// The tiles that cover the result's images.
struct Tiles {
  int64_t rows, columns, count;
  explicit Tiles(const ImageShape& y)
      : rows((y.h + step - 1) / step), columns((y.w + step - 1) / step), count(y.n * rows * columns) {}
  struct Place {
    int64_t image, y, x;  // of the result's first pixel
  };
  AZ_INLINE Place operator[](int64_t i) const {
    const int64_t in_image = i % (rows * columns);
    return {i / (rows * columns), in_image / columns * step, in_image % columns * step};
  }
};

// Some rows of a transformed tile.
struct Rows {
  int first = 0, count = side;
};

// These store a transformed tile: as it is, rounded, or in the first or the second halves of pairs with the tile before.
struct ToFloats {
  float* to;
  template <class V> AZ_INLINE void put(int64_t at, const V& v) const { store(to + at, v); }
};
struct ToBf16 {
  bf16* to;
  AZ_INLINE void put(int64_t at, const Vector<16>& v) const {
    const auto half = rounded(v);
    std::memcpy(static_cast<void*>(to + at), &half, sizeof half);
  }
};
struct ToPairs {
  uint32_t* to;
  bool second;
  AZ_INLINE void put(int64_t at, const Vector<16>& v) const {
    Pairs all{}, now = __builtin_convertvector(rounded(v), Pairs);
    if (second) std::memcpy(&all, to + at, sizeof all);
    all |= second ? now << 16 : now;
    std::memcpy(to + at, &all, sizeof all);
  }
};

// Transforms the S x S pixels from (y, x) on, 0 outside the image, by `lines` both ways: results (i - rows.first) * 6 + j lie
// `apart` numbers apart, from `at` on.
template <int W, int S, class T, class Lines, class To> AZ_INLINE void transform(const T* from, const Pixels& p, int64_t y,
                                                                                 int64_t x, Lines lines, Rows rows, To to,
                                                                                 int64_t at, int64_t apart) {
  float half[side * S * W];
  const bool is_inside = y >= 0 && x >= 0 && y + S <= p.h && x + S <= p.w;
  for (int j = 0; j < S; ++j) {
    Vector<W> d[S], l[side];
    const bool has_column = x + j >= 0 && x + j < p.w;
    for (int i = 0; i < S; ++i) {
      const bool has_pixel = is_inside || (has_column && y + i >= 0 && y + i < p.h);
      d[i] = has_pixel ? load<W>(from + ((y + i) * p.w + x + j) * p.block) : Vector<W>{};
    }
    lines(d, l);
    for (int i = 0; i < side; ++i) store(half + (i * S + j) * W, l[i]);
  }
  for (int i = 0; i < rows.count; ++i) {
    Vector<W> d[S], l[side];
    for (int j = 0; j < S; ++j) d[j] = load<W>(half + ((rows.first + i) * S + j) * W);
    lines(d, l);
    for (int j = 0; j < side; ++j) to.put(at + (i * side + j) * apart, l[j]);
  }
}

// Fetches those of the S x S pixels from (y, x) on that the tile before did not read. They lie far apart, so that no processor
// foresees them.
template <int W, int S, class T> AZ_INLINE void prefetch(const T* from, const Pixels& p, int64_t y, int64_t x) {
  const int64_t begin = x <= 0 ? 0 : x + S - step;  // a tile that begins a row comes after one of another row
  for (int64_t i = std::max<int64_t>(y, 0); i < std::min(y + S, p.h); ++i) {
    for (int64_t j = begin; j < std::min(x + S, p.w); ++j) __builtin_prefetch(from + (i * p.w + j) * p.block);
  }
}

// Transforms the pixels of a tile, from `at` less the padding on, of channels [first, first + count), while those of the tile
// after it are fetched; to: as above, for one channel after the other.
template <int W, int S, class T, class Lines, class To>
AZ_INLINE void transform_tile(const T* from, const Pixels& p, Tiles::Place at, Tiles::Place next, Size2 padding, int64_t first,
                              int64_t count, Lines lines, Rows rows, To to, int64_t apart) {
  for (int64_t c = 0; c < count; c += W) {
    prefetch<W, S>(from + p.first(next.image, first + c), p, next.y - padding.h, next.x - padding.w);
    transform<W, S>(from + p.first(at.image, first + c), p, at.y - padding.h, at.x - padding.w, lines, rows, to, c, apart);
  }
}

template <class V> AZ_INLINE V plus_products(const V& sum, float a, const V& b) { return sum + a * b; }
AZ_INLINE Vector<16> plus_products(const Vector<16>& sum, uint32_t a, const Pairs& b) {
  return az::plus_products(sum, Pairs{} + a, b);
}

// Adds to R rows of N vectors, `row` floats apart, or writes them where `fresh`:
// into[r, k] += sum over c < count of a[r * a_row + c * a_step] * b[c * b_step + k].
template <int W, int R, int N, class Number> AZ_INLINE void multiply(int64_t count, const Number* a, int64_t a_row,
                                                                     int64_t a_step, const Number* b, int64_t b_step,
                                                                     float* into, int64_t row, bool fresh) {
  typedef Number Numbers __attribute__((vector_size(4 * W)));
  Vector<W> acc[R][N] = {};
  for (int64_t c = 0; c < count; ++c) {
    Numbers with[N];
    for (int n = 0; n < N; ++n) std::memcpy(&with[n], b + c * b_step + n * W, sizeof(Numbers));
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      Number by;
      std::memcpy(&by, a + r * a_row + c * a_step, sizeof by);  // of pairs, that were stored one by one
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) acc[r][n] = plus_products(acc[r][n], by, with[n]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int n = 0; n < N; ++n) {
      float* to = into + r * row + n * W;
      store(to, fresh ? acc[r][n] : acc[r][n] + load<W>(to));
    }
  }
}

}  // namespace az::winograd

#pragma GCC diagnostic pop
