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
#include "core/ops/activations.h"
#include "core/ops/conv.h"
#include "core/ops/elementwise.h"
#include "core/ops/shape.h"
#include "core/tensor/create.h"
#include "tests/compare.h"
#include "tests/core/own_kernels.h"
#include "tests/core/winograd_bound.h"

using namespace az;
using namespace az::winograd_bound;

namespace {

struct Case {
  int64_t n, c, o, h, w;
  Size2 padding;
};

// The three kernels, on tensors, with memory that holds NaN where nothing was written.
struct Run {
  Case k;
  int64_t block;  // 0: channels last
  winograd::Vectors vectors;
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
    const Guarded scratch(winograd::scratch_size(shape, vectors));
    Tensor y = Tensor::empty(of_y, dtype_of<T>, layout);
    const Tensor from = laid_out(x, layout);
    winograd::forward<T>(elements<T>(from), w.data<float>(), scale.defined() ? scale.data<float>() : nullptr, then,
                         elements<T>(y), shape, vectors, scratch.data());
    return y;
  }
  template <class T = float> Tensor backward_data(const Tensor& g, const Tensor& w) const {
    const Guarded scratch(winograd::scratch_size(shape, vectors));
    Tensor dx = Tensor::empty(of_x, dtype_of<T>, layout);
    const Tensor from = laid_out(g, layout);
    winograd::backward_data<T>(elements<T>(from), w.data<float>(), elements<T>(dx), shape, vectors, scratch.data());
    return dx;
  }
  template <class T = float> Tensor backward_weights(const Tensor& x, const Tensor& g) const {
    const Guarded scratch(winograd::weights_scratch_size(shape, vectors));
    Tensor dw = Tensor::empty(of_w);
    const Tensor images = laid_out(x, layout), gradients = laid_out(g, layout);
    winograd::backward_weights<T>(elements<T>(images), elements<T>(gradients), dw.mutable_data<float>(), shape, vectors,
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

Tensor nan_to_zero(const Tensor& t) {
  std::vector<double> values = t.to_vector<double>();
  for (double& v : values) v = std::isnan(v) ? 0 : v;
  return Tensor::of<double>(t.shape(), values);
}

// f(run) for each width and layout of a case.
template <class F> void each_run(const Case& k, F f) {
  for (int width : {4, 8, 16}) {
    for (int64_t block : {4, 8, 16}) {
      const Run run{k, block, {width}};
      const bool fits = width <= simd_width() && block % width == 0;
      CAPTURE(width);
      CAPTURE(block);
      CAPTURE(run.of_x);
      CAPTURE(run.of_w);
      CAPTURE(k.padding.w);
      REQUIRE(winograd::takes(run.shape, {width}) == fits);
      if (fits) f(run);
    }
  }
}

}  // namespace

TEST_CASE("winograd: results and both gradients are within the bound that roundings can come to") {
  Philox random(3);
  for (const Case& k : cases()) {
    const Run any{k, 4, {4}};
    const Tensor x = normal(any.of_x, random), w = normal(any.of_w, random), g = normal(any.of_y, random);
    const Tensor x64 = x.to(DType::f64).set_requires_grad(true), w64 = w.to(DType::f64).set_requires_grad(true);
    const Tensor g64 = g.to(DType::f64), y64 = conv2d(x64, w64, {}, any.shape.params);
    y64.backward(g64);
    const Tensor turned = flip_and_exchange(w64);
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

TEST_CASE("winograd: with products of bf16, errors are within the bound of rounding what is multiplied") {
  if (!multiplies_bf16()) {
    MESSAGE("skipped: this processor adds up no products of bf16");
    return;
  }
  const int before = thread_count();
  Philox random(12);
  std::vector<Case> all = cases();
  all.push_back({51, 3, 4, 12, 12, 1});  // an odd number of tiles behind a full pass
  for (const Case& k : all) {
    const Run run{k, k.c % 16 == 0 && k.o % 16 == 0 ? 0 : 16, {16, true}};
    REQUIRE(winograd::takes(run.shape, run.vectors));
    CAPTURE(run.of_x);
    CAPTURE(run.of_w);
    const Bf16Operands of(run, random);
    const Tensor x64 = of.x.to(DType::f64).set_requires_grad(true), w64 = of.w.to(DType::f64).set_requires_grad(true);
    const Tensor g64 = of.g.to(DType::f64), y64 = conv2d(x64, w64, {}, run.shape.params);
    y64.backward(g64);
    const Tensor turned = flip_and_exchange(w64), bound_y = bound_of_y(x64, w64, run.of_y, k.padding);
    const int64_t tiles = k.n * ((run.shape.y.h + 3) / 4) * ((run.shape.y.w + 3) / 4);
    // Half a unit in the last place of bf16, 2^16 times f32's, of both that are multiplied, and of the result.
    constexpr int64_t of_operands = 0x20100;
    const auto with_own = [&](const Tensor& bound, const Tensor& right) {
      return bound + abs(right.detach()) * (0x1p-8 / u / of_operands);
    };
    const Tensor y = run.forward<bf16>(of.x, of.w), dx = run.backward_data<bf16>(of.g, of.w),
                 dw = run.backward_weights<bf16>(of.x, of.g);
    CHECK(worst(y, y64, with_own(bound_y, y64), of_operands + k.c + 32) < 1);
    CHECK(worst(dx, x64.grad(), with_own(bound_of_y(g64, turned, run.of_x, {2 - k.padding.h, 2 - k.padding.w}), x64.grad()),
                of_operands + k.o + 32) < 1);
    CHECK(worst(dw, w64.grad(), bound_of_dw(x64, g64, run.of_w, k.padding), of_operands + tiles + 32) < 1);
    // As far as they come with numbers of any sign.
    CHECK(test::distance(y, y64) < 3.5e-2);
    CHECK(test::distance(dx, x64.grad()) < 3.5e-2);
    CHECK(test::distance(dw, w64.grad()) < 3.5e-2);
    // What follows is added to what was not yet rounded.
    std::vector<float> bias(size_t(run.shape.y.blocks() * run.shape.y.block));
    for (int64_t c = 0; c < k.o; ++c) bias[size_t(c)] = float(c % 5) - 2;
    const Tensor added =
        y64.detach() + Tensor::of<double>({k.o, 1, 1}, {bias.begin(), bias.begin() + k.o}) + of.residual.plain().to(DType::f64);
    const Tensor then = run.forward<bf16>(of.x, of.w, {bias.data(), Run::elements<bf16>(of.residual), true});
    CHECK(std::isnan(then.to_vector<float>()[0]));
    CHECK(worst(nan_to_zero(then), nan_to_zero(relu(added)), with_own(bound_y, nan_to_zero(added)), of_operands + k.c + 34) <
          1);
    const Tensor scale = normal({k.o}, random);
    CHECK(same_bits(run.forward<bf16>(of.x, of.w, {}, scale), run.forward<bf16>(of.x, of.w * scale.reshape({k.o, 1, 1, 1}))));
    for (int threads : {1, 3}) {
      set_thread_count(threads);
      CHECK(same_bits(run.forward<bf16>(of.x, of.w), y));
      CHECK(same_bits(run.backward_data<bf16>(of.g, of.w), dx));
      CHECK(same_bits(run.backward_weights<bf16>(of.x, of.g), dw));
    }
    set_thread_count(before);
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
      const Run all{{18, 13, 16, 126, 127, 1}, block, {width}}, part{{3, 13, 16, 126, 127, 1}, block, {width}};
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
    const Run run{{2, 16, 48, 6, 7, 1}, 0, {width}};
    REQUIRE(winograd::takes(run.shape, {width}));
    check_norms(run, random, 3e-6);
  }
}

TEST_CASE("winograd: at 512 channels, results differ from f64's by less than 1e-5 of their norm, gradients of weights 3e-6") {
  Philox random(8);
  const Case k{2, 512, 300, 4, 4, 1};  // the weight is packed for three groups of outputs, its gradient summed in two
  for (int width : {4, 8, 16}) {
    if (width > simd_width()) continue;
    CAPTURE(width);
    const Run run{k, 16, {width}};
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
    const Run run{k, 16, {simd_width()}};
    const Tensor x = normal(run.of_x, random), g = normal(run.of_y, random);
    for (int threads : {1, 5, 7, 8}) set_thread_count(threads), run.backward_weights(x, g);
  }
  const Run groups{{3, 512, 300, 16, 16, 1}, 16, {simd_width()}};  // several groups of outputs, and tiles for several threads
  const Tensor x = normal(groups.of_x, random), g = normal(groups.of_y, random), w = normal(groups.of_w, random);
  const Tensor y = groups.forward(x, w), dx = groups.backward_data(g, w);
  for (int threads : {1, 2, 3}) {
    set_thread_count(threads);
    CHECK(same_bits(groups.forward(x, w), y));
    CHECK(same_bits(groups.backward_data(g, w), dx));
  }
  set_thread_count(before);
  if (!multiplies_bf16()) return;
  const Run with_bf16{groups.k, 16, {16, true}};
  const Tensor half_x = x.to(DType::bf16), half_g = g.to(DType::bf16);
  CHECK(test::distance(with_bf16.forward<bf16>(half_x, w), y) < 3.5e-2);
  CHECK(test::distance(with_bf16.backward_data<bf16>(half_g, w), dx) < 3.5e-2);
  CHECK(test::distance(with_bf16.backward_weights<bf16>(half_x, half_g), groups.backward_weights(x, g)) < 3.5e-2);
}

TEST_CASE("winograd: takes what its window is for, and nothing else") {
  const Conv2dShape fits{{2, 8, 9, 9, 16}, {2, 8, 9, 9, 16}, 3, {.padding = 1}};
  CHECK(winograd::takes(fits, {4}));
  CHECK(!winograd::takes(fits, {32}));
  const auto changed = [&](auto change) {
    Conv2dShape other = fits;
    change(other);
    return winograd::takes(other, {4});
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
