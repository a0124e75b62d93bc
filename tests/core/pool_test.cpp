#include <doctest/doctest.h>

#include <cmath>

#include "core/autograd/autograd.h"
#include "core/backend/reorder.h"
#include "core/base/random.h"
#include "core/ops.h"
#include "tests/compare.h"

// Max pooling and option A's shortcut, in every layout against the f64 reference in rows.
namespace az::test {
namespace {

Tensor drawn(const Shape& shape, uint64_t seed) {
  Philox generator(seed);
  // Rounded to bf16, so that every number type starts from the same values; ties are common.
  return uniform(shape, {.low = -1, .high = 1}, generator).to(DType::bf16).to(DType::f32);
}

using Op = std::function<Tensor(const Tensor&)>;

struct Outcome {
  Tensor value, gradient;
  uint64_t reorders = 0;
};

Outcome run(const Op& op, const Tensor& x, const Tensor& upstream) {
  const Tensor leaf = x.detach().set_requires_grad();
  Outcome outcome;
  const uint64_t before = reorder_count();
  // Inside the engine: what it hands out is made row-major.
  const Tensor in = record("watch", x.detach(), {leaf}, saved(), ByOps{[&](const Back& k) {
                             outcome.gradient = k.g;
                             outcome.reorders = reorder_count() - before;
                             return Grads{k.g};
                           }});
  outcome.value = op(in);
  outcome.value.backward(upstream);
  return outcome;
}

// Also checks that layouts are passed on and that nothing is reordered.
void check(const Shape& shape, const Op& op) {
  CAPTURE(shape.str());
  const Tensor x = drawn(shape, 1);
  const Tensor upstream = drawn(op(x).shape(), 2);
  const Outcome wanted = run(op, x.to(DType::f64), upstream.to(DType::f64));
  for (DType type : {DType::f32, DType::bf16}) {
    if (type == DType::bf16 && test::skipped_without_bf16()) continue;
    for (int64_t block : {1, 4, 8, 16, 0}) {
      CAPTURE(block);
      auto laid = [&](const Tensor& t) { return reorder(t.to(type), blocked_layout(block)); };
      const Tensor in = laid(x), g = laid(upstream);
      const Outcome found = run(op, in, g);
      CHECK(found.reorders == 0);
      CHECK(found.value.layout() == g.layout());
      CHECK(found.gradient.layout() == in.layout());
      CHECK(distance(found.value, wanted.value) == 0);
      CHECK(distance(found.gradient, wanted.gradient) <= (type == DType::f32 ? 1e-7 : 3e-3));
      CHECK(distance(run(op, in, upstream.to(type)).gradient, wanted.gradient) <= (type == DType::f32 ? 1e-7 : 3e-3));
    }
  }
}

}  // namespace

TEST_CASE("max_pool2d: values and gradients in every layout, windows that tile, overlap, skip pixels and hang over") {
  for (const Pool2dParams& params : std::initializer_list<Pool2dParams>{{},
                                                                        {.kernel = 3, .stride = 2, .padding = 1},
                                                                        {.kernel = {3, 2}, .stride = {1, 3}, .padding = {1, 0}},
                                                                        {.kernel = 2, .stride = 3},
                                                                        {.kernel = {1, 4}, .stride = {2, 1}, .padding = {0, 2}},
                                                                        {.kernel = 17, .stride = 5, .padding = 8}}) {
    for (const Shape& shape :
         {Shape{2, 20, 9, 11}, Shape{3, 16, 8, 8}, Shape{1, 3, 10, 9}, Shape{2, 40, 7, 12}, Shape{1, 2, 9, 75}}) {
      check(shape, [&](const Tensor& x) { return max_pool2d(x, params); });
    }
  }
}

TEST_CASE("max_pool2d: a NaN in the window is the largest, in every layout and number type") {
  for (DType type : {DType::f32, DType::bf16, DType::f64}) {
    if (type == DType::bf16 && test::skipped_without_bf16()) continue;
    for (int64_t place : {0, 1, 4, 5}) {  // of the first window
      Tensor x = drawn({1, 20, 4, 4}, 3);
      x.mutable_data<float>()[place] = NAN;
      for (int64_t block : {1, 4, 8, 16, 0}) {
        if (type == DType::f64 && block != 1) continue;
        const Tensor in = reorder(x.to(type), blocked_layout(block));
        const auto y = max_pool2d(in, {}).to_vector<float>();
        CHECK(std::isnan(y[0]));
        CHECK(std::count_if(y.begin(), y.end(), [](float v) { return std::isnan(v); }) == 1);
        Tensor leaf = in.detach().set_requires_grad();
        sum(max_pool2d(leaf, {})).backward();
        CHECK(leaf.grad().to_vector<float>()[size_t(place)] == 1);
      }
    }
  }
}

TEST_CASE(
    "max_pool2d: of a window that is -inf throughout the first element inside the image is the largest, in every layout") {
  for (int64_t stride : {1, 2, 3}) {
    const Pool2dParams params{.kernel = 3, .stride = stride, .padding = 1};
    for (int64_t width : {7, 40}) {
      const auto gradient = [&](DType type, int64_t block) {
        Tensor leaf = reorder(full({1, 20, 5, width}, -INFINITY).to(type), blocked_layout(block)).set_requires_grad();
        sum(max_pool2d(leaf, params)).backward();
        return leaf.grad().to_vector<float>();
      };
      std::vector<float> wanted(size_t(20 * 5 * width));
      for (int64_t i = 0; i * stride < 5; ++i) {
        for (int64_t j = 0; j * stride < width; ++j) {
          for (int64_t c = 0; c < 20; ++c)
            ++wanted[size_t((c * 5 + std::max<int64_t>(i * stride - 1, 0)) * width + std::max<int64_t>(j * stride - 1, 0))];
        }
      }
      CHECK(gradient(DType::f64, 1) == wanted);
      for (int64_t block : {1, 8, 16, 0}) CHECK(gradient(DType::f32, block) == wanted);
    }
  }
}

TEST_CASE("subsample_pad: centred padding begins inside blocks, in every layout, forward and backward") {
  for (int64_t stride : {1, 2, 3}) {
    for (const auto& [shape, channels] : std::initializer_list<std::pair<Shape, int64_t>>{
             {{2, 16, 8, 8}, 32}, {{2, 32, 7, 9}, 64}, {{3, 20, 5, 4}, 41}, {{1, 3, 6, 6}, 8}, {{2, 24, 6, 6}, 24}}) {
      check(shape, [&](const Tensor& x) { return subsample_pad(x, {.stride = stride, .channels = channels}); });
      // The reference itself, against the ops that it stands for.
      const Tensor x = drawn(shape, 4);
      const Tensor small = slice(slice(x, {.axis = 2, .step = stride}), {.axis = 3, .step = stride});
      const int64_t before = (channels - shape[1]) / 2, after = channels - shape[1] - before;
      CHECK(subsample_pad(x, {.stride = stride, .channels = channels}).to_vector<float>() ==
            pad(small, {.before = {0, before, 0, 0}, .after = {0, after, 0, 0}}).to_vector<float>());
    }
  }
}

}  // namespace az::test
