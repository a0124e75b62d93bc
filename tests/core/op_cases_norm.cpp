#include "core/base/random.h"
#include "core/ops/conv_norm.h"
#include "core/ops/elementwise.h"
#include "core/ops/shape.h"
#include "core/tensor/create.h"
#include "tests/core/op_cases.h"

namespace az::test {
namespace {

using BatchNorm = Tensor (*)(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                             const BatchNormOptions&);

// A row of op(x, gamma, beta, running mean, running variance); the running ones are copied, as the op changes them.
OpCase batch_norm_row(const std::string& name, const std::string& op, BatchNorm norm, bool training, int images = 1) {
  return {name,
          op,
          [=](const Inputs& x) {
            return norm(x[0], x[1], x[2], x[3].detach().clone(), x[4].detach().clone(), {.training = training});
          },
          {.images = images, .by_kernel = training ? op : "", .bf16_inputs = 1}};
}

// The same of op(x, gamma, beta, running mean, running variance, residual), the residual being the second input.
OpCase batch_norm_add_row(const std::string& name, bool training, int images = 2) {
  return {name,
          "batch_norm_add_relu",
          [=](const Inputs& x) {
            return batch_norm_add_relu(x[0], x[2], x[3], x[4].detach().clone(), x[5].detach().clone(), x[1],
                                       {.training = training});
          },
          {.images = images, .by_kernel = training ? "batch_norm_add_relu" : "", .bf16_inputs = 3}};
}

// conv2d_norm(x, weight, bias, gamma, beta) + residual, the residual being the second input, by statistics that are constants.
OpCase conv_norm_row(const std::string& name, bool relu) {
  return {name,
          "conv2d_norm",
          [=](const Inputs& x) {
            const Tensor scale = arange({.end = 32}, x.type == DType::f64 ? x.type : DType::f32) * 0.02 + 0.1;
            return conv2d_norm(x[0], x[2], x[3], {.padding = 1}, {x[4], x[5], scale, scale}, {.residual = x[1], .relu = relu});
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
            batch_norm(x[0], {}, {}, mean, variance, {.momentum = 0.3});
            return concat({mean, variance}, 0);
          },
          {.images = images, .bf16_inputs = 1, .bf16_gives = DType::f32}};
}

}  // namespace

std::vector<OpCase> norm_cases() {
  return {
      batch_norm_row("batch_norm", "batch_norm", batch_norm, true),
      batch_norm_row("batch_norm_rows", "batch_norm", batch_norm, true, 0),
      batch_norm_row("batch_norm_one_pixel", "batch_norm", batch_norm, true),
      batch_norm_row("batch_norm_eval", "batch_norm", batch_norm, false),
      batch_norm_row("batch_norm_eval_rows", "batch_norm", batch_norm, false, 0),
      batch_norm_row("batch_norm_eval_one_pixel", "batch_norm", batch_norm, false),
      batch_norm_row("batch_norm_relu", "batch_norm_relu", batch_norm_relu, true),
      batch_norm_row("batch_norm_relu_eval", "batch_norm_relu", batch_norm_relu, false),
      batch_norm_add_row("batch_norm_add_relu", true),
      batch_norm_add_row("batch_norm_add_relu_rows", true, 0),
      batch_norm_add_row("batch_norm_add_relu_eval", false),
      running_row("batch_norm_running"),
      running_row("batch_norm_running_rows", 0),
      running_row("batch_norm_running_one_pixel"),
      {"batch_norm_plain",
       "batch_norm",
       [](const Inputs& x) { return batch_norm(x[0], {}, {}, x[1].detach().clone(), x[2].detach().clone(), {}); },
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
      {"dropout",
       "dropout",
       [](const Inputs& x) {
         set_random_state({.seed = 3, .draws = 0});
         return dropout(x[0], 0.4);
       },
       {.images = 1, .random_inputs = {{2, 20, 5, 3}}}},
  };
}

}  // namespace az::test
