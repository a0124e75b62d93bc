#include <doctest/doctest.h>

#include "core/ops.h"

using namespace az;

namespace {

struct Misuse {
  std::function<void()> call;
  std::string message;
};

void check(const std::vector<Misuse>& misuses) {
  for (const Misuse& misuse : misuses) CHECK_THROWS_WITH_AS(misuse.call(), misuse.message.c_str(), Error);
}

Tensor f32(const Shape& shape) { return ones(shape); }
Tensor f64(const Shape& shape) { return ones(shape, DType::f64); }

const std::string one_shape = "give the shortcut layers that bring both to one shape and number type";

}  // namespace

TEST_CASE("conv2d: every misuse is answered with what it got and what it wants") {
  const Tensor x = f32({2, 4, 5, 6}), w = f32({6, 4, 3, 3});
  check({
      {[&] {
         conv2d(f32({4, 5, 6}), w, {});
       },
       "conv2d: input and weight have 4 axes (input [4,5,6], weight [6,4,3,3])"},
      {[&] {
         conv2d(x, f32({6, 4, 3}), {});
       },
       "conv2d: input and weight have 4 axes (input [2,4,5,6], weight [6,4,3])"},
      {[&] {
         conv2d(x, w, {}, {.stride = {1, 0}});
       },
       "conv2d: stride, dilation and groups are at least 1, padding at least 0"},
      {[&] {
         conv2d(x, w, {}, {.dilation = {0, 1}});
       },
       "conv2d: stride, dilation and groups are at least 1, padding at least 0"},
      {[&] {
         conv2d(x, w, {}, {.padding = {0, -1}});
       },
       "conv2d: stride, dilation and groups are at least 1, padding at least 0"},
      {[&] { conv2d(x, w, {}, {.groups = 0}); }, "conv2d: stride, dilation and groups are at least 1, padding at least 0"},
      {[&] { conv2d(x, w, {}, {.groups = 2}); },
       "conv2d: input has 4 channels, weight expects 8 (input [2,4,5,6], weight [6,4,3,3])"},
      {[&] {
         conv2d(x, f32({7, 2, 3, 3}), {}, {.groups = 2});
       },
       "conv2d: 7 output channels do not divide into 2 groups"},
      {[&] { conv2d(x, w, f32({4})); }, "conv2d: bias is [4], expected [6]"},
      {[&] {
         conv2d(x, f64({6, 4, 3, 3}), {});
       },
       "conv2d: input is f32, so weight and bias are f32, not f64"},
      {[&] { conv2d(x, w, f64({6})); }, "conv2d: input is f32, so weight and bias are f32, not f64"},
      {[&] { conv2d(x.to(DType::bf16), w.to(DType::bf16), {}); },
       "conv2d: input is bf16, so weight and bias are f32, not bf16"},
      {[&] {
         conv2d(x, f32({6, 4, 6, 3}), {});
       },
       "conv2d: the kernel is larger than the padded input (input [2,4,5,6], weight [6,4,6,3])"},
      {[&] {
         conv2d(x, w, {}, {.dilation = {1, 3}});
       },
       "conv2d: the kernel is larger than the padded input (input [2,4,5,6], weight [6,4,3,3])"},
  });
}

TEST_CASE("pooling: every misuse is answered with what it got and what it wants") {
  const Tensor x = f32({2, 4, 5, 6});
  check({
      {[&] {
         max_pool2d(f32({4, 5, 6}), {});
       },
       "max_pool2d: input has 4 axes, not [4,5,6]"},
      {[&] {
         avg_pool2d(f32({4, 5, 6}), {});
       },
       "avg_pool2d: input has 4 axes, not [4,5,6]"},
      {[&] {
         global_avg_pool(f32({4, 5}));
       },
       "global_avg_pool: input has 4 axes, not [4,5]"},
      {[&] {
         max_pool2d(x, {.kernel = {0, 1}});
       },
       "max_pool2d: kernel and stride are at least 1, padding from 0 to half the kernel"},
      {[&] {
         avg_pool2d(x, {.stride = {1, 0}});
       },
       "avg_pool2d: kernel and stride are at least 1, padding from 0 to half the kernel"},
      {[&] { max_pool2d(x, {.kernel = 3, .padding = 2}); },
       "max_pool2d: kernel and stride are at least 1, padding from 0 to half the kernel"},
      {[&] {
         max_pool2d(x, {.kernel = {2, 7}});
       },
       "max_pool2d: the window [2,7] is larger than the padded input [2,4,5,6]"},
      {[&] {
         max_pool2d(f64({1, 1, 0, 4}), {.padding = 1});
       },
       "max_pool2d: the images of [1,1,0,4] have no pixels"},
      {[&] {
         avg_pool2d(f32({1, 1, 4, 0}), {.padding = 1});
       },
       "avg_pool2d: the images of [1,1,4,0] have no pixels"},
      {[&] {
         max_pool2d(zeros({1, 1, 4, 4}, DType::i64), {});
       },
       "max_pool2d: works on f32, bf16 and f64, not i64"},
      {[&] {
         subsample_pad(f32({4, 5, 6}), {.channels = 8});
       },
       "subsample_pad: input [4,5,6] has 4 axes and at most 8 channels, stride 2 is at least 1"},
      {[&] { subsample_pad(x, {.channels = 3}); },
       "subsample_pad: input [2,4,5,6] has 4 axes and at most 3 channels, stride 2 is at least 1"},
      {[&] { subsample_pad(x, {.stride = 0, .channels = 4}); },
       "subsample_pad: input [2,4,5,6] has 4 axes and at most 4 channels, stride 0 is at least 1"},
  });
}

TEST_CASE("batch_norm: every misuse is answered with what it got and what it wants") {
  const Tensor x = f32({2, 4, 5, 6}), c = f32({4});
  const BatchNormParams evaluation{.training = false};
  check({
      {[&] {
         batch_norm(f32({4, 5, 6}), {});
       },
       "batch_norm: input is [n,c] or [n,c,h,w], not [4,5,6]"},
      {[&] { batch_norm(x, {f32({3})}); }, "batch_norm: input [2,4,5,6] has 4 channels, a parameter or statistic is [3]"},
      {[&] {
         batch_norm(x, {{}, f32({4, 1})});
       },
       "batch_norm: input [2,4,5,6] has 4 channels, a parameter or statistic is [4,1]"},
      {[&] {
         batch_norm(x, {{}, {}, f32({5})}, {}, {.relu = true});
       },
       "batch_norm_relu: input [2,4,5,6] has 4 channels, a parameter or statistic is [5]"},
      {[&] {
         batch_norm(x, {{}, {}, {}, f32({5})});
       },
       "batch_norm: input [2,4,5,6] has 4 channels, a parameter or statistic is [5]"},
      {[&] {
         batch_norm(x, {f64({4}), c});
       },
       "batch_norm: input is f32, so gamma, beta and statistics are f32, not f64"},
      {[&] {
         batch_norm(x, {c, f64({4}), c, c}, evaluation);
       },
       "batch_norm: input is f32, so gamma, beta and statistics are f32, not f64"},
      {[&] {
         batch_norm(x, {c, c, f64({4}), c});
       },
       "batch_norm: input is f32, so gamma, beta and statistics are f32, not f64"},
      {[&] {
         batch_norm(x, {c, c, c, f64({4})});
       },
       "batch_norm: input is f32, so gamma, beta and statistics are f32, not f64"},
      {[&] {
         batch_norm(x, {c.to(DType::bf16), c});
       },
       "batch_norm: input is f32, so gamma, beta and statistics are f32, not bf16"},
      {[&] {
         batch_norm(f64({2, 4}), {c, c});
       },
       "batch_norm: input is f64, so gamma, beta and statistics are f64, not f32"},
      {[&] {
         batch_norm(zeros({2, 4}, DType::i64), {});
       },
       "batch_norm: works on f32, bf16 and f64, not i64"},
      {[&] {
         batch_norm(f32({1, 4}), {});
       },
       "batch_norm: needs more than one value a channel to take statistics over, got input [1,4]"},
      {[&] {
         batch_norm(x, {{}, {}, c}, evaluation);
       },
       "batch_norm: evaluation needs running statistics"},
      {[&] {
         batch_norm(x, {}, {}, {.residual = f32({2, 4, 5, 5}), .relu = true});
       },
       "batch_norm_add_relu: f32 [2,4,5,5] is to be added to f32 [2,4,5,6]; " + one_shape},
      {[&] {
         batch_norm(x, {}, {}, {.residual = f64({2, 4, 5, 6}), .relu = true});
       },
       "batch_norm_add_relu: f64 [2,4,5,6] is to be added to f32 [2,4,5,6]; " + one_shape},
      {[&] {
         add_relu(x, f32({2, 4, 5, 5}));
       },
       "add_relu: f32 [2,4,5,6] and f32 [2,4,5,5] differ"},
  });
}
