// The kernels of depthwise convolutions by themselves, for each width of vectors that this processor has, against plain loops
// in f64.
#include "core/kernels/depthwise.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "core/autograd/autograd.h"
#include "core/backend/conv/offer.h"
#include "core/backend/reorder.h"
#include "core/base/random.h"
#include "core/base/simd.h"
#include "core/base/threads.h"
#include "core/ops/conv.h"
#include "core/ops/elementwise.h"
#include "core/tensor/create.h"
#include "tests/core/own_kernels.h"

using namespace az;

namespace {

struct Case {
  int64_t n, c, h, w;
  Size2 kernel, stride = 1, padding = 0, dilation = 1;
};

// The three kernels, on tensors.
struct Run {
  Case k;
  int64_t block;  // 0: all channels
  int width;
  const Layout* layout = blocked_layout(block);
  Conv2dParams params{.stride = k.stride, .padding = k.padding, .dilation = k.dilation, .groups = k.c};
  Shape of_x{k.n, k.c, k.h, k.w},
      of_y{k.n, k.c, side(k.h, k.kernel.h, k.stride.h, k.padding.h, k.dilation.h),
           side(k.w, k.kernel.w, k.stride.w, k.padding.w, k.dilation.w)},
      of_w{k.c, 1, k.kernel.h, k.kernel.w};
  Conv2dShape shape{
      {k.n, k.c, k.h, k.w, block_of(layout, k.c)}, {k.n, k.c, of_y[2], of_y[3], block_of(layout, k.c)}, k.kernel, params};

  static int64_t side(int64_t in, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
    return (in + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
  }
  template <class T = float> static T* elements(const Tensor& t) { return static_cast<T*>(t.raw()); }
  std::vector<float> packed(const Tensor& w) const {
    std::vector<float> all(size_t(depthwise::packed_size(shape)), NAN);
    depthwise::pack(w.data<float>(), nullptr, shape, width, all.data());
    return all;
  }

  // T: the number type of images.
  template <class T = float>
  Tensor forward(const Tensor& x, const Tensor& w, const Epilogue<std::type_identity_t<T>>& then = {}) const {
    const Tensor from = laid_out(x, layout), y = Tensor::empty(of_y, dtype_of<T>, layout);
    depthwise::forward<T>(elements<T>(from), packed(w).data(), then, elements<T>(y), shape, width);
    return y;
  }
  template <class T = float> Tensor backward_data(const Tensor& g, const Tensor& w) const {
    const Tensor from = laid_out(g, layout), dx = Tensor::empty(of_x, dtype_of<T>, layout);
    depthwise::backward_data<T>(elements<T>(from), packed(w).data(), elements<T>(dx), shape, width);
    return dx;
  }
  template <class T = float> Tensor backward_weights(const Tensor& x, const Tensor& g) const {
    const Tensor images = laid_out(x, layout), gradients = laid_out(g, layout), dw = Tensor::empty(of_w);
    depthwise::backward_weights<T>(elements<T>(images), elements<T>(gradients), elements(dw), shape, width);
    return dw;
  }
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {2, 16, 8, 8, 3, 1, 1},
      {3, 20, 9, 33, 3, 1, 1},
      {2, 24, 7, 9, 3, 2, 1},
      {2, 17, 10, 6, 5, {2, 3}, {2, 1}},
      {1, 8, 12, 11, 3, 1, 2, 2},
      {2, 4, 13, 14, {3, 2}, {3, 2}, {0, 1}, {2, 3}},
      {1, 33, 4, 5, 1, 3, 0},
      {2, 16, 2, 3, 7, 1, 3},
      {1, 5, 6, 6, 2, 1, 4},     // windows that lie in the padding alone
      {18, 12, 5, 37, 4, 1, 2},  // more images than are summed together
      {1, 16, 1, 1, 3, 2, 1},
      {2, 9, 21, 18, 3, 4, {1, 0}},
      // Rows that a result does not need, but the next one does.
      {2, 16, 9, 9, 3, 1, 1, 2},
      {2, 16, 8, 7, 2, 1, 1, 2},
      {2, 8, 11, 9, 3, 2, 3, 3},
      {2, 8, 13, 12, 3, 3, 4, 4},
  };
  return all;
}

// f(run) for each width and layout of a case.
template <class F> void each_run(const Case& k, F f) {
  for (int width : {4, 8, 16}) {
    for (int64_t block : {0, 4, 8, 16}) {
      const Run run{k, block, width};
      const bool fits = width <= simd_width() && run.shape.x.block % width == 0;
      CAPTURE(width);
      CAPTURE(block);
      CAPTURE(run.of_x.str());
      CAPTURE(run.of_w.str());
      CAPTURE(k.stride.w);
      REQUIRE(depthwise::takes(run.shape, width) == fits);
      if (fits) f(run);
    }
  }
}

// A convolution and both gradients in f64.
struct Exact {
  Tensor y, dx, dw;
  Exact(const Run& run, const Tensor& x, const Tensor& w, const Tensor& g) {
    const Tensor a = x.to(DType::f64).set_requires_grad(), b = w.to(DType::f64).set_requires_grad();
    y = conv2d(a, b, {}, run.params);
    y.backward(g.to(DType::f64));
    dx = a.grad();
    dw = b.grad();
  }
};

// Whether each element is as near as so many roundings of what adds up to `sizes` leave it (Higham 2002, section 3.1).
bool within(const Tensor& found, const Tensor& right, const Tensor& sizes, int64_t roundings) {
  const auto f = found.to_vector<double>(), r = right.to_vector<double>(), s = sizes.to_vector<double>();
  bool all = f.size() == r.size();
  for (size_t i = 0; i < r.size(); ++i) all = all && std::abs(f[i] - r[i]) <= double(roundings) * u * s[i];
  return all;
}

}  // namespace

TEST_CASE("depthwise: results and both gradients are within the bound that roundings can come to") {
  Philox random(3);
  for (const Case& k : cases()) {
    const Run any{k, 4, 4};
    const Tensor x = normal(any.of_x, random), w = normal(any.of_w, random), g = normal(any.of_y, random);
    const Exact right(any, x, w, g), sizes(any, abs(x), abs(w), abs(g));
    const int64_t taps = k.kernel.h * k.kernel.w, terms = any.of_y[2] + any.of_y[3] / 4 + 8;
    each_run(k, [&](const Run& run) {
      CHECK(within(run.forward(x, w), right.y, sizes.y, taps + 1));
      CHECK(within(run.backward_data(g, w), right.dx, sizes.dx, taps + 1));
      CHECK(within(run.backward_weights(x, g), right.dw, sizes.dw, terms));
    });
  }
}

TEST_CASE("depthwise: what follows is done in the same pass, and channels that fill up a block are 0") {
  Philox random(4);
  for (const Case& k : cases())
    each_run(k, [&](const Run& run) {
      const Tensor x = normal(run.of_x, random), w = normal(run.of_w, random), residual = normal(run.of_y, random);
      std::vector<float> bias(size_t(run.shape.y.blocks() * run.shape.y.block));
      for (int64_t c = 0; c < run.k.c; ++c) bias[size_t(c)] = float(c) - 2;
      residual.mutable_data<float>()[0] = NAN;
      const Tensor added = laid_out(residual, run.layout);
      const Tensor plain = run.forward(x, w), y = run.forward(x, w, {bias.data(), Run::elements(added), true}),
                   dx = run.backward_data(residual, w);
      const std::vector<float> before = plain.to_vector<float>(), after = y.to_vector<float>(),
                               more = residual.to_vector<float>();
      const int64_t pixels = run.of_y[2] * run.of_y[3];
      bool right = std::isnan(after[0]);
      for (size_t i = 1; i < after.size(); ++i)
        right = right && after[i] == std::max(before[i] + bias[i / size_t(pixels) % size_t(run.k.c)] + more[i], 0.0F);
      CHECK(right);
      for (const Tensor& t : {plain, y, dx}) {
        const float* held = Run::elements(t);
        int64_t nonzeros = std::count_if(held, held + t.storage()->bytes() / sizeof(float), [](float v) { return v != 0; });
        for (const float v : t.to_vector<float>()) nonzeros -= v != 0;
        CHECK(nonzeros == 0);
      }
    });
}

TEST_CASE("depthwise: in bf16, what f32 gives is rounded once") {
  Philox random(9);
  for (const Case& k : cases())
    each_run(k, [&](const Run& run) {
      const Bf16Operands of(run, random);
      const Tensor y = run.forward<bf16>(of.x, of.w, {nullptr, Run::elements<bf16>(of.residual), true}),
                   y32 = run.forward(of.x32, of.w, {nullptr, Run::elements(of.residual32), true});
      CHECK(same_bits(y, y32.to(DType::bf16)));
      CHECK(same_bits(run.forward<bf16>(of.x, of.w), run.forward(of.x32, of.w).to(DType::bf16)));
      CHECK(same_bits(run.backward_data<bf16>(of.g, of.w), run.backward_data(of.g32, of.w).to(DType::bf16)));
      CHECK(same_bits(run.backward_weights<bf16>(of.x, of.g), run.backward_weights(of.x32, of.g32)));
    });
}

TEST_CASE("depthwise: a NaN reaches what its window covers, of weights' gradients those of its channel, and nothing else") {
  Philox random(6);
  for (const Case& k : cases())
    each_run(k, [&](const Run& run) {
      const Tensor x = normal(run.of_x, random), w = normal(run.of_w, random), g = normal(run.of_y, random);
      x.mutable_data<float>()[x.numel() / 2] = NAN;
      const auto is_nan = [](const Tensor& t) {
        std::vector<bool> all;
        for (const double v : t.to_vector<double>()) all.push_back(std::isnan(v));
        return all;
      };
      const Exact right(run, x, w, g);
      CHECK(is_nan(run.forward(x, w)) == is_nan(right.y));
      CHECK(is_nan(run.backward_weights(x, g)) == is_nan(right.dw));
      const int64_t at = g.numel() / 3, channel = at / (run.of_y[2] * run.of_y[3]) % run.k.c;
      g.mutable_data<float>()[at] = NAN;
      CHECK(is_nan(run.backward_data(g, w)) == is_nan(Exact(run, x, w, g).dx));
      const auto dw = is_nan(run.backward_weights(normal(run.of_x, random), g));
      const size_t taps = dw.size() / size_t(run.k.c);
      for (size_t i = 0; i < dw.size(); ++i) CHECK((!dw[i] || int64_t(i / taps) == channel));
    });
}

TEST_CASE("depthwise: the bits are the same on any number of threads") {
  Philox random(7);
  const int before = thread_count();
  for (const Case& k : cases())
    each_run(k, [&](const Run& run) {
      const Tensor x = normal(run.of_x, random), w = normal(run.of_w, random), g = normal(run.of_y, random);
      set_thread_count(1);
      const Tensor y = run.forward(x, w), dx = run.backward_data(g, w), dw = run.backward_weights(x, g);
      for (int threads : {2, 5}) {
        set_thread_count(threads);
        CHECK(same_bits(run.forward(x, w), y));
        CHECK(same_bits(run.backward_data(g, w), dx));
        CHECK(same_bits(run.backward_weights(x, g), dw));
      }
    });
  set_thread_count(before);
}

TEST_CASE("depthwise: the kernels compete where images lie in blocks that they take, and nowhere else") {
  const auto is_own = [](const auto& one) { return one.name.starts_with("depthwise:"); };
  const auto competes = [&](const auto& offered) {
    return std::any_of(offered.all.begin(), offered.all.begin() + int64_t(offered.competing), is_own);
  };
  const Run run{{8, 32, 9, 8, 3, 2, 1}, 16, 16};
  ConvProblem p{"forward", run.of_x, run.of_w, run.of_y, DType::f32, run.params};
  const auto forward = offered<ConvForward>(p);
  CHECK(competes(forward));
  p.direction = "backward_data";
  const auto data = offered<ConvBackwardData>(p);
  CHECK(competes(data));
  p.direction = "backward_weights";
  CHECK(competes(offered<ConvBackwardWeights>(p)));
  p.params = {.padding = 2, .dilation = 2, .groups = 32};  // oneDNN 2 has a product of matrices alone
  p.y = p.x;
  CHECK(competes(offered<ConvBackwardWeights>(p)));
  p.direction = "backward_data";
  CHECK(competes(offered<ConvBackwardData>(p)));
  p.params.dilation = 30000;
  p.params.padding = 30000;
  CHECK(std::ranges::none_of(offered<ConvBackwardData>(p).all, is_own));  // its rows would fill the memory
  p.direction = "backward_weights";
  p.weight = {32, 2, 3, 3};
  p.params.groups = 16;
  CHECK(std::ranges::none_of(offered<ConvBackwardWeights>(p).all, is_own));
}
