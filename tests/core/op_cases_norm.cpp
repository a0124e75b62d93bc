#include "core/ops/activations.h"
#include "core/ops/conv.h"
#include "core/ops/elementwise.h"
#include "core/ops/norm.h"
#include "core/ops/shape.h"
#include "core/tensor/create.h"
#include "tests/core/op_cases.h"

namespace az::test {
namespace {

// A row of x, gamma, beta, running mean, running variance; the running ones are copied, as the op changes them.
OpCase batch_norm_row(const std::string& name, bool training, int images = 1, bool relu = false) {
  return {name,
          "batch_norm",
          [=](const Inputs& x) {
            return batch_norm(x[0], {x[1], x[2], x[3].detach().clone(), x[4].detach().clone()}, {.training = training},
                              {.relu = relu});
          },
          {.images = images,
           .by_kernel = !training ? ""
                        : relu    ? "batch_norm_relu"
                                  : "batch_norm",
           .bf16_inputs = 1}};
}

// The same with a residual, which is the second input.
OpCase batch_norm_add_row(const std::string& name, bool training, int images = 2) {
  return {name,
          "batch_norm",
          [=](const Inputs& x) {
            return batch_norm(x[0], {x[2], x[3], x[4].detach().clone(), x[5].detach().clone()}, {.training = training},
                              {.residual = x[1], .relu = true});
          },
          {.images = images, .by_kernel = training ? "batch_norm_add_relu" : "", .bf16_inputs = 3}};
}

// x + residual without ReLU, gamma and beta, by the batch's statistics or by constants.
OpCase batch_norm_add_only_row(const std::string& name, bool training, const Shape& shape) {
  return {name,
          "batch_norm",
          [=](const Inputs& x) {
            const Tensor running = full({shape[1]}, 0.3, x.type == DType::f64 ? x.type : DType::f32);
            return batch_norm(x[0], {x[2], x[3], running, running.clone()}, {.training = training}, {.residual = x[1]});
          },
          {.images = shape.rank() == 4 ? 2 : 0,
           .by_kernel = training ? "batch_norm_add" : "",
           .bf16_inputs = 3,
           .random_inputs = {shape, shape, {shape[1]}, {shape[1]}}}};
}

// x, residual, weight, bias, gamma, beta, by statistics that are constants.
OpCase conv_norm_row(const std::string& name, bool relu) {
  return {
      name,
      "conv2d_norm",
      [=](const Inputs& x) {
        const Tensor scale = arange({.end = 32}, x.type == DType::f64 ? x.type : DType::f32) * 0.02 + 0.1;
        return conv2d_norm(x[0], {x[2], x[3], {.padding = 1}, {x[4], x[5], scale, scale}, {.training = false}, {x[1], relu}});
      },
      {.images = 2,
       .differences = !relu,
       .by_kernel = "conv2d",
       .bf16_inputs = 0b11,
       .bf16_tolerance = 6e-3,
       .random_inputs = {{2, 16, 4, 5}, {2, 32, 4, 5}, {32, 16, 3, 3}, {32}, {32}, {32}}}};
}

// What becomes of the running statistics.
OpCase running_row(const std::string& name, int images = 1) {
  return {name,
          "batch_norm",
          [](const Inputs& x) {
            Tensor mean = x[1].detach().clone(), variance = x[2].detach().clone();
            batch_norm(x[0], {{}, {}, mean, variance}, {.momentum = 0.3});
            return concat({mean, variance}, 0);
          },
          {.images = images, .bf16_inputs = 1, .bf16_gives = DType::f32}};
}

}  // namespace

std::vector<OpCase> norm_cases() {
  return {
      batch_norm_row("batch_norm", true),
      batch_norm_row("batch_norm_rows", true, 0),
      batch_norm_row("batch_norm_one_pixel", true),
      batch_norm_row("batch_norm_eval", false),
      batch_norm_row("batch_norm_eval_rows", false, 0),
      batch_norm_row("batch_norm_eval_one_pixel", false),
      batch_norm_row("batch_norm_relu", true, 1, true),
      batch_norm_row("batch_norm_relu_eval", false, 1, true),
      batch_norm_add_only_row("batch_norm_add", true, {3, 20, 4, 5}),
      batch_norm_add_only_row("batch_norm_add_rows", true, {6, 20}),
      batch_norm_add_only_row("batch_norm_add_eval", false, {3, 20, 4, 5}),
      batch_norm_add_row("batch_norm_add_relu", true),
      batch_norm_add_row("batch_norm_add_relu_rows", true, 0),
      batch_norm_add_row("batch_norm_add_relu_eval", false),
      running_row("batch_norm_running"),
      running_row("batch_norm_running_rows", 0),
      running_row("batch_norm_running_one_pixel"),
      {"batch_norm_plain",
       "batch_norm",
       [](const Inputs& x) {
         return batch_norm(x[0], {{}, {}, x[1].detach().clone(), x[2].detach().clone()});
       },
       {.by_kernel = "batch_norm", .bf16_inputs = 1}},
      conv_norm_row("conv2d_norm", false),
      conv_norm_row("conv2d_norm_relu", true),
      {"add_relu", "add_relu", [](const Inputs& x) { return add_relu(x[0], x[1]); }, {.images = 2}},
      {"group_norm",
       "group_norm",
       [](const Inputs& x) { return group_norm(x[0], x[1], x[2], {.groups = 3}); },
       {.bf16_inputs = 1}},
      {"group_norm_images",
       "group_norm",
       [](const Inputs& x) { return group_norm(x[0], x[1], x[2], {.eps = 1e-3}); },
       {.images = 1, .bf16_inputs = 1}},
      {"group_norm_plain", "group_norm", [](const Inputs& x) { return group_norm(x[0], {}, {}, {.groups = 2}); }},
      {"layer_norm", "layer_norm", [](const Inputs& x) { return layer_norm(x[0], x[1], x[2]); }, {.bf16_inputs = 1}},
      {"layer_norm_axes", "layer_norm", [](const Inputs& x) { return layer_norm(x[0], x[1], x[2], 1e-3); }, {.bf16_inputs = 1}},
  };
}

}  // namespace az::test
