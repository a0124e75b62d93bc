#include "core/ops/conv.h"
#include "core/ops/pool.h"
#include "tests/core/op_cases.h"

namespace az::test {
namespace {

// A row of conv2d(input 0, weight 1, bias 2).
OpCase convolution(const std::string& name, const Conv2dParams& params, int images = 0) {
  return {name,
          "conv2d",
          [params](const Inputs& x) { return conv2d(x[0], x[1], x[2], params); },
          {.images = images, .by_kernel = "conv2d", .bf16_inputs = 1}};
}

OpCase pooling(const std::string& name, Tensor (*pool)(const Tensor&, const Pool2dParams&), const Pool2dParams& params,
               int images = 1) {
  std::string op = name.substr(0, 10);
  return {name, op, [=](const Inputs& x) { return pool(x[0], params); }, {.images = images, .by_kernel = op}};
}

// Of `channels` channels, each with a window of its own; what is not 3x3 or dilated is computed by kernels of our own.
OpCase depthwise(const std::string& name, int64_t channels, const Size2& kernel, const Conv2dParams& params) {
  OpCase row = convolution(name, params, 1);
  row.traits.random_inputs = {{2, channels, 7, 8}, {channels, 1, kernel.h, kernel.w}, {channels}};
  return row;
}

// Winograd's transforms lose about a digit.
OpCase winograd(const std::string& name, const std::vector<Shape>& inputs) {
  return {name,
          "conv2d",
          [](const Inputs& x) { return conv2d(x[0], x[1], {}, {.padding = 1}); },
          {.images = 1,
           .differences = false,
           .by_kernel = "conv2d",
           .f32_tolerance = 1e-4,
           .bf16_inputs = 1,
           .random_inputs = inputs}};
}

}  // namespace

std::vector<OpCase> image_cases() {
  return {
      convolution("conv2d", {}),
      convolution("conv2d_padded", {.padding = 1}, 1),
      convolution("conv2d_strided", {.stride = 2, .padding = 1}, 1),
      convolution("conv2d_pointwise", {.stride = 2}, 1),
      convolution("conv2d_dilated", {.padding = 2, .dilation = 2}),
      convolution("conv2d_groups", {.padding = 1, .groups = 2}),
      convolution("conv2d_depthwise", {.padding = 1, .groups = 16}, 1),
      depthwise("conv2d_depthwise_5x5", 20, 5, {.padding = 2, .groups = 20}),
      depthwise("conv2d_depthwise_dilated", 8, 3, {.padding = 2, .dilation = 2, .groups = 8}),
      depthwise("conv2d_depthwise_strided", 16, {3, 2}, {.stride = {2, 3}, .padding = {1, 0}, .groups = 16}),
      convolution("conv2d_rectangular", {.stride = {1, 2}, .padding = {2, 1}, .dilation = {2, 1}}),
      {"conv2d_no_bias",
       "conv2d",
       [](const Inputs& x) { return conv2d(x[0], x[1], {}, {.padding = 1}); },
       {.by_kernel = "conv2d", .bf16_inputs = 1}},
      winograd("conv2d_winograd", {{2, 32, 9, 8}, {48, 32, 3, 3}}),
      winograd("conv2d_winograd_small_image", {{1, 64, 4, 4}, {64, 64, 3, 3}}),
      pooling("max_pool2d", max_pool2d, {}),
      pooling("max_pool2d_overlapping", max_pool2d, {.kernel = 3, .stride = 2, .padding = 1}),
      pooling("max_pool2d_negative", max_pool2d, {.kernel = 3, .stride = 1, .padding = 1}, 0),
      pooling("avg_pool2d", avg_pool2d, {}),
      pooling("avg_pool2d_overlapping", avg_pool2d, {.kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 0}}),
      {"global_avg_pool",
       "global_avg_pool",
       [](const Inputs& x) { return global_avg_pool(x[0]); },
       {.images = 1, .by_kernel = "avg_pool2d"}},
      {"subsample_pad",
       "subsample_pad",
       [](const Inputs& x) { return subsample_pad(x[0], {.stride = 2, .channels = 32}); },
       {.images = 1}},
      {"subsample_pad_odd",
       "subsample_pad",
       [](const Inputs& x) { return subsample_pad(x[0], {.stride = 2, .channels = 33}); },
       {.images = 1}},
  };
}

}  // namespace az::test
