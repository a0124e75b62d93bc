// Winograd's kernels by themselves, for each width of vectors that this processor has, against plain loops in f64.
#include "core/kernels/winograd.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "core/autograd/autograd.h"
#include "core/backend/reorder.h"
#include "core/base/random.h"
#include "core/base/simd.h"
#include "core/base/threads.h"
#include "core/ops/conv.h"
#include "core/ops/elementwise.h"
#include "core/ops/shape.h"
#include "core/tensor/create.h"
#include "tests/compare.h"
#include "tests/core/own_kernels.h"

using namespace az;

namespace {

using Matrix = std::vector<std::vector<double>>;
const Matrix image = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                      {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
constexpr double s6 = 1. / 6, s12 = 1. / 12, s24 = 1. / 24;
const Matrix kernel = {{.25, 0, 0}, {-s6, -s6, -s6}, {-s6, s6, -s6}, {s24, s12, s6}, {s24, -s12, s6}, {0, 0, 1}};
const Matrix result = {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};

Matrix transposed(const Matrix& m) {
  Matrix t(m[0].size(), std::vector<double>(m.size()));
  for (size_t i = 0; i < m.size(); ++i)
    for (size_t j = 0; j < m[0].size(); ++j) t[j][i] = m[i][j];
  return t;
}

// |m| |d| |m|^T
Matrix sizes(const Matrix& m, const Matrix& d) {
  Matrix half(m.size(), std::vector<double>(d[0].size())), all(m.size(), std::vector<double>(m.size()));
  for (size_t i = 0; i < m.size(); ++i)
    for (size_t j = 0; j < d[0].size(); ++j)
      for (size_t k = 0; k < d.size(); ++k) half[i][j] += std::abs(m[i][k] * d[k][j]);
  for (size_t i = 0; i < m.size(); ++i)
    for (size_t j = 0; j < m.size(); ++j)
      for (size_t k = 0; k < d[0].size(); ++k) all[i][j] += half[i][k] * std::abs(m[j][k]);
  return all;
}

// The S x S pixels from (y, x) on of plane (n, c), 0 outside.
Matrix patch(const Tensor& t, int64_t n, int64_t c, int64_t y, int64_t x, int64_t side) {
  Matrix pixels(static_cast<size_t>(side), std::vector<double>(static_cast<size_t>(side)));
  const double* values = t.data<double>() + (n * t.size(1) + c) * t.size(2) * t.size(3);
  for (int64_t i = 0; i < side; ++i)
    for (int64_t j = 0; j < side; ++j)
      if (y + i >= 0 && x + j >= 0 && y + i < t.size(2) && x + j < t.size(3))
        pixels[size_t(i)][size_t(j)] = values[(y + i) * t.size(3) + x + j];
  return pixels;
}

// What the numbers add up to that are summed for each element, with their signs taken off: an error of (terms) u of it is the
// most that roundings can come to, with `terms` roundings on the way from an operand to a result (Higham 2002, section 3.1).
Tensor bound_of_y(const Tensor& x, const Tensor& w, const Shape& y, Size2 padding) {
  Tensor bound = zeros(y, DType::f64);
  double* to = bound.mutable_data<double>();
  for (int64_t n = 0; n < y[0]; ++n)
    for (int64_t o = 0; o < y[1]; ++o)
      for (int64_t i = 0; i < y[2]; i += 4)
        for (int64_t j = 0; j < y[3]; j += 4) {
          Matrix m(6, std::vector<double>(6));
          for (int64_t c = 0; c < x.size(1); ++c) {
            const Matrix d = sizes(image, patch(x, n, c, i - padding.h, j - padding.w, 6)),
                         g = sizes(kernel, patch(w, o, c, 0, 0, 3));
            for (size_t k = 0; k < 36; ++k) m[k / 6][k % 6] += d[k / 6][k % 6] * g[k / 6][k % 6];
          }
          const Matrix tile = sizes(result, m);
          for (int64_t a = 0; a < std::min<int64_t>(4, y[2] - i); ++a)
            for (int64_t b = 0; b < std::min<int64_t>(4, y[3] - j); ++b)
              to[((n * y[1] + o) * y[2] + i + a) * y[3] + j + b] = tile[size_t(a)][size_t(b)];
        }
  return bound;
}
Tensor bound_of_dw(const Tensor& x, const Tensor& g, const Shape& w, Size2 padding) {
  Tensor bound = zeros(w, DType::f64);
  double* to = bound.mutable_data<double>();
  for (int64_t o = 0; o < w[0]; ++o)
    for (int64_t c = 0; c < w[1]; ++c) {
      Matrix m(6, std::vector<double>(6));
      for (int64_t n = 0; n < x.size(0); ++n)
        for (int64_t i = 0; i < g.size(2); i += 4)
          for (int64_t j = 0; j < g.size(3); j += 4) {
            const Matrix d = sizes(image, patch(x, n, c, i - padding.h, j - padding.w, 6)),
                         e = sizes(transposed(result), patch(g, n, o, i, j, 4));
            for (size_t k = 0; k < 36; ++k) m[k / 6][k % 6] += d[k / 6][k % 6] * e[k / 6][k % 6];
          }
      const Matrix taps = sizes(transposed(kernel), m);
      for (size_t k = 0; k < 9; ++k) to[(o * w[1] + c) * 9 + int64_t(k)] = taps[k / 3][k % 3];
    }
  return bound;
}

// The largest error, as a share of what it may be.
double worst(const Tensor& found, const Tensor& right, const Tensor& bound, int64_t terms) {
  const auto f = found.to_vector<double>(), r = right.to_vector<double>(), b = bound.to_vector<double>();
  double share = 0;
  for (size_t i = 0; i < r.size(); ++i) {
    const double error = std::abs(f[i] - r[i]);
    if (!(error <= double(terms) * u * b[i])) return INFINITY;
    if (b[i] > 0) share = std::max(share, error / (double(terms) * u * b[i]));
  }
  return share;
}

struct Case {
  int64_t n, c, o, h, w;
  Size2 padding;
};

// The three kernels, on tensors, with memory that holds NaN where nothing was written.
struct Run {
  Case k;
  int64_t block;  // 0: channels last
  int width;
  const Layout* layout = blocked_layout(block);
  Conv2dShape shape{{k.n, k.c, k.h, k.w, block_of(layout, k.c)},
                    {k.n, k.o, k.h + 2 * k.padding.h - 2, k.w + 2 * k.padding.w - 2, block_of(layout, k.o)},
                    3,
                    {.padding = k.padding}};
  Shape of_x{k.n, k.c, k.h, k.w}, of_y{k.n, k.o, shape.y.h, shape.y.w}, of_w{k.o, k.c, 3, 3};

  template <class T = float> static T* elements(const Tensor& t) { return static_cast<T*>(t.raw()); }

  // T: the number type of images.
  template <class T = float> Tensor forward(const Tensor& x, const Tensor& w,
                                            const Epilogue<std::type_identity_t<T>>& then = {}, Tensor scale = {}) const {
    const Guarded scratch(winograd::scratch_size(shape));
    Tensor y = Tensor::empty(of_y, dtype_of<T>, layout);
    const Tensor from = laid_out(x, layout);
    winograd::forward<T>(elements<T>(from), w.data<float>(), scale.defined() ? scale.data<float>() : nullptr, then,
                         elements<T>(y), shape, width, scratch.data());
    return y;
  }
  template <class T = float> Tensor backward_data(const Tensor& g, const Tensor& w) const {
    const Guarded scratch(winograd::scratch_size(shape));
    Tensor dx = Tensor::empty(of_x, dtype_of<T>, layout);
    const Tensor from = laid_out(g, layout);
    winograd::backward_data<T>(elements<T>(from), w.data<float>(), elements<T>(dx), shape, width, scratch.data());
    return dx;
  }
  template <class T = float> Tensor backward_weights(const Tensor& x, const Tensor& g) const {
    const Guarded scratch(winograd::weights_scratch_size(shape, width));
    Tensor dw = Tensor::empty(of_w);
    const Tensor images = laid_out(x, layout), gradients = laid_out(g, layout);
    winograd::backward_weights<T>(elements<T>(images), elements<T>(gradients), dw.mutable_data<float>(), shape, width,
                                  scratch.data());
    return dw;
  }
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {2, 16, 16, 8, 8, 1},  {1, 32, 16, 4, 4, 1},       {3, 5, 19, 7, 9, 1}, {2, 24, 40, 6, 5, 0},
      {1, 8, 8, 3, 3, 0},    {2, 3, 33, 5, 11, 2},       {5, 9, 8, 1, 3, 1},  {2, 48, 17, 10, 3, {1, 2}},
      {40, 8, 8, 4, 4, 1},   {3, 16, 96, 13, 2, {2, 1}}, {1, 1, 1, 1, 1, 1},  {1, 17, 31, 2, 3, {2, 0}},
      {24, 3, 4, 32, 31, 1},  // tiles for several threads, and for several passes over the gradient of a weight
  };
  return all;
}

// f(run) for each width and layout of a case.
template <class F> void each_run(const Case& k, F f) {
  for (int width : {4, 8, 16}) {
    for (int64_t block : {4, 8, 16}) {
      const Run run{k, block, width};
      const bool fits = width <= simd_width() && block % width == 0;
      CAPTURE(width);
      CAPTURE(block);
      CAPTURE(run.of_x);
      CAPTURE(run.of_w);
      CAPTURE(k.padding.w);
      REQUIRE(winograd::takes(run.shape, width) == fits);
      if (fits) f(run);
    }
  }
}

}  // namespace

TEST_CASE("winograd: results and both gradients are within the bound that roundings can come to") {
  Philox random(3);
  for (const Case& k : cases()) {
    const Run any{k, 4, 4};
    const Tensor x = normal(any.of_x, random), w = normal(any.of_w, random), g = normal(any.of_y, random);
    const Tensor x64 = x.to(DType::f64).set_requires_grad(true), w64 = w.to(DType::f64).set_requires_grad(true);
    const Tensor g64 = g.to(DType::f64), y64 = conv2d(x64, w64, {}, any.shape.params);
    y64.backward(g64);
    const Tensor turned = Tensor::empty({k.c, k.o, 3, 3}, DType::f64);
    for (int64_t i = 0; i < turned.numel(); ++i)
      turned.mutable_data<double>()[i] = w64.data<double>()[(i / 9 % k.o * k.c + i / 9 / k.o) * 9 + 8 - i % 9];
    const Tensor of_y = bound_of_y(x64, w64, any.of_y, k.padding),
                 of_dx = bound_of_y(g64, turned, any.of_x, {2 - k.padding.h, 2 - k.padding.w}),
                 of_dw = bound_of_dw(x64, g64, any.of_w, k.padding);
    const int64_t tiles = k.n * ((any.shape.y.h + 3) / 4) * ((any.shape.y.w + 3) / 4);
    each_run(k, [&](const Run& run) {
      const Tensor y = run.forward(x, w), dx = run.backward_data(g, w), dw = run.backward_weights(x, g);
      const double share = std::max(
          {worst(y, y64, of_y, k.c + 32), worst(dx, x64.grad(), of_dx, k.o + 32), worst(dw, w64.grad(), of_dw, tiles + 32)});
      CHECK(share < 1);
      // As far as they come with numbers of any sign.
      CHECK(test::distance(y, y64) < 3e-6);
      CHECK(test::distance(dx, x64.grad()) < 3e-6);
      CHECK(test::distance(dw, w64.grad()) < 3e-6);
    });
  }
}

TEST_CASE("winograd: what follows is done in the same pass, and channels that fill up a block are 0") {
  Philox random(4);
  for (const Case& k : cases())
    each_run(k, [&](const Run& run) {
      const Tensor x = normal(run.of_x, random), w = normal(run.of_w, random), residual = normal(run.of_y, random);
      std::vector<float> bias(size_t(run.shape.y.blocks() * run.block));
      for (int64_t c = 0; c < run.k.o; ++c) bias[size_t(c)] = float(c) - 2;
      residual.mutable_data<float>()[0] = NAN;
      const Tensor added = laid_out(residual, run.layout);
      const Tensor plain = run.forward(x, w), y = run.forward(x, w, {bias.data(), Run::elements(added), true});
      const std::vector<float> before = plain.to_vector<float>(), after = y.to_vector<float>(),
                               more = residual.to_vector<float>();
      const int64_t pixels = run.shape.y.h * run.shape.y.w;
      bool right = std::isnan(after[0]);
      for (size_t i = 1; i < after.size(); ++i) {
        const float sum = before[i] + bias[i / size_t(pixels) % size_t(run.k.o)] + more[i];
        right = right && after[i] == std::max(sum, 0.0F);
      }
      CHECK(right);
      const int64_t held = int64_t(y.storage()->bytes() / sizeof(float));
      for (const Tensor& t : {plain, y}) {
        double beyond = 0, all = 0;
        for (int64_t i = 0; i < held; ++i) beyond += i == 0 ? 0 : std::abs(Run::elements(t)[i]);
        const std::vector<float> inside = t.to_vector<float>();
        for (size_t i = 1; i < inside.size(); ++i) all += std::abs(inside[i]);
        CHECK(std::abs(beyond - all) <= 1e-9 * all);
      }
    });
}

TEST_CASE("winograd: in bf16, what f32 gives is rounded once") {
  Philox random(9);
  for (const Case& k : cases())
    each_run(k, [&](const Run& run) {
      const Bf16Operands of(run, random);
      std::vector<float> bias(size_t(run.shape.y.blocks() * run.block));
      for (int64_t c = 0; c < run.k.o; ++c) bias[size_t(c)] = float(c) - 2;
      const Tensor y = run.forward<bf16>(of.x, of.w, {bias.data(), Run::elements<bf16>(of.residual), true}),
                   y32 = run.forward(of.x32, of.w, {bias.data(), Run::elements(of.residual32), true});
      CHECK(same_bits(y, y32.to(DType::bf16)));
      CHECK(same_bits(run.backward_data<bf16>(of.g, of.w), run.backward_data(of.g32, of.w).to(DType::bf16)));
      CHECK(same_bits(run.backward_weights<bf16>(of.x, of.g), run.backward_weights(of.x32, of.g32)));
    });
}

TEST_CASE("winograd: results too large for the caches have the bits of their parts") {
  Philox random(10);
  for (const auto& [width, block] : std::vector<std::pair<int, int64_t>>{{4, 4}, {4, 16}, {8, 8}, {8, 16}, {16, 16}}) {
    if (width <= simd_width()) {
      const Run all{{18, 13, 16, 126, 127, 1}, block, width}, part{{3, 13, 16, 126, 127, 1}, block, width};
      const Tensor x = normal(all.of_x, random), w = normal(all.of_w, random), g = normal(all.of_y, random);
      const Tensor halves = x.to(DType::bf16), y = all.forward(x, w), dx = all.backward_data(g, w),
                   half_y = all.forward<bf16>(halves, w), half_dx = all.backward_data<bf16>(g.to(DType::bf16), w);
      for (int64_t i = 0; i < 18; i += 3) {
        const auto some = [&](const Tensor& t) { return slice(t.plain(), {.axis = 0, .begin = i, .end = i + 3}); };
        CHECK(same_bits(some(y), part.forward(some(x), w)));
        CHECK(same_bits(some(dx), part.backward_data(some(g), w)));
        CHECK(same_bits(some(half_y), part.forward<bf16>(some(halves), w)));
        CHECK(same_bits(some(half_dx), part.backward_data<bf16>(some(g.to(DType::bf16)), w)));
      }
    }
  }
}

TEST_CASE("winograd: a NaN reaches the pixels of the tiles that it is in, and no channel that fills up a block") {
  Philox random(6);
  each_run(Case{2, 5, 7, 12, 12, 1}, [&](const Run& run) {
    const Tensor x = normal(run.of_x, random), w = normal(run.of_w, random);
    x.mutable_data<float>()[2 * 144 + 5 * 12 + 5] = NAN;  // image 0, channel 2, row 5, column 5: in the tiles of rows 4 to 7
    const Tensor y = run.forward(x, w);
    const std::vector<float> values = y.to_vector<float>();
    bool right = true;
    for (size_t i = 0; i < values.size(); ++i) {
      const size_t which = i / (7 * 144), row = i / 12 % 12, column = i % 12;
      const bool is_in = which == 0 && row / 4 == 1 && column / 4 == 1;
      right = right && std::isnan(values[i]) == is_in;
    }
    CHECK(right);
    const int64_t held = int64_t(y.storage()->bytes() / sizeof(float)), block = run.block, pixels = 144;
    for (int64_t i = 0; i < held; ++i) {
      const int64_t channel = i / (pixels * block) % run.shape.y.blocks() * block + i % block;
      if (channel >= 7) REQUIRE(Run::elements(y)[i] == 0);
    }
  });
}

// Standard normal operands: results and gradients of images differ from f64's by less than `limit` of their norm, gradients of
// weights by less than 3e-6.
static void check_norms(const Run& run, Philox& random, double limit) {
  const Tensor x = normal(run.of_x, random), w = normal(run.of_w, random), g = normal(run.of_y, random);
  const Tensor x64 = x.to(DType::f64).set_requires_grad(true), w64 = w.to(DType::f64).set_requires_grad(true);
  const Tensor y64 = conv2d(x64, w64, {}, run.shape.params);
  y64.backward(g.to(DType::f64));
  CHECK(test::distance(run.forward(x, w), y64) < limit);
  CHECK(test::distance(run.backward_data(g, w), x64.grad()) < limit);
  CHECK(test::distance(run.backward_weights(x, g), w64.grad()) < 3e-6);
}

TEST_CASE("winograd: images may lie in blocks of different sizes, as with channels last") {
  Philox random(7);
  for (int width : {4, 8, 16}) {
    if (width > simd_width()) continue;
    const Run run{{2, 16, 48, 6, 7, 1}, 0, width};
    REQUIRE(winograd::takes(run.shape, width));
    check_norms(run, random, 3e-6);
  }
}

TEST_CASE("winograd: at 512 channels, results differ from f64's by less than 1e-5 of their norm, gradients of weights 3e-6") {
  Philox random(8);
  const Case k{2, 512, 300, 4, 4, 1};  // the weight is packed for three groups of outputs, its gradient summed in two
  for (int width : {4, 8, 16}) {
    if (width > simd_width()) continue;
    CAPTURE(width);
    const Run run{k, 16, width};
    check_norms(run, random, 1e-5);
    const Tensor x = normal(run.of_x, random), w = normal(run.of_w, random), scale = normal({k.o}, random);
    CHECK(same_bits(run.forward(x, w, {}, scale), run.forward(x, w * scale.reshape({k.o, 1, 1, 1}))));
  }
}

TEST_CASE("winograd: bits do not depend on the number of threads") {
  const int before = thread_count();
  Philox random(5);
  for (const Case& k : cases())
    each_run(k, [&](const Run& run) {
      const Tensor x = normal(run.of_x, random), w = normal(run.of_w, random), g = normal(run.of_y, random);
      std::vector<std::vector<float>> first;
      for (int threads : {1, 2, 3, 4, 6, 7, 12}) {
        set_thread_count(threads);
        const std::vector<std::vector<float>> now = {run.forward(x, w).to_vector<float>(),
                                                     run.backward_data(g, w).to_vector<float>(),
                                                     run.backward_weights(x, g).to_vector<float>()};
        if (first.empty()) first = now;
        CHECK(now == first);
      }
    });
  set_thread_count(before);
}

TEST_CASE("winograd: outputs in groups keep to their scratch memory on any number of threads") {
  const int before = thread_count();
  Philox random(6);
  for (const Case& k : {Case{1, 512, 480, 1, 1, 1}, {1, 768, 768, 1, 1, 1}, {1, 1280, 640, 1, 1, 1}}) {
    const Run run{k, 16, simd_width()};
    const Tensor x = normal(run.of_x, random), g = normal(run.of_y, random);
    for (int threads : {1, 5, 7, 8}) set_thread_count(threads), run.backward_weights(x, g);
  }
  const Run groups{{3, 512, 300, 16, 16, 1}, 16, simd_width()};  // several groups of outputs, and tiles for several threads
  const Tensor x = normal(groups.of_x, random), g = normal(groups.of_y, random), w = normal(groups.of_w, random);
  const Tensor y = groups.forward(x, w), dx = groups.backward_data(g, w);
  for (int threads : {1, 2, 3}) {
    set_thread_count(threads);
    CHECK(same_bits(groups.forward(x, w), y));
    CHECK(same_bits(groups.backward_data(g, w), dx));
  }
  set_thread_count(before);
}

TEST_CASE("winograd: takes what its window is for, and nothing else") {
  const Conv2dShape fits{{2, 8, 9, 9, 16}, {2, 8, 9, 9, 16}, 3, {.padding = 1}};
  CHECK(winograd::takes(fits, 4));
  CHECK(!winograd::takes(fits, 32));
  const auto changed = [&](auto change) {
    Conv2dShape other = fits;
    change(other);
    return winograd::takes(other, 4);
  };
  CHECK(!changed([](Conv2dShape& s) { s.kernel = {3, 1}; }));
  CHECK(!changed([](Conv2dShape& s) { s.params.stride = {1, 2}; }));
  CHECK(!changed([](Conv2dShape& s) { s.params.dilation = {2, 1}; }));
  CHECK(!changed([](Conv2dShape& s) { s.params.groups = 2; }));
  CHECK(!changed([](Conv2dShape& s) { s.params.padding = 3, s.y.h = s.y.w = 13; }));
  CHECK(!changed([](Conv2dShape& s) { s.params.padding = {1, 0}; }));  // the result would be narrower
  CHECK(!changed([](Conv2dShape& s) { s.x.block = 1; }));
  CHECK(!changed([](Conv2dShape& s) { s.y.block = 2; }));
  CHECK(!changed([](Conv2dShape& s) { s.x.n = s.y.n = 0; }));
}
