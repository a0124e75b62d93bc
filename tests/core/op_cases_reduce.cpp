#include "core/ops/loss.h"
#include "core/ops/matmul.h"
#include "core/ops/reduce.h"
#include "tests/core/op_cases.h"

// Reductions, products and losses.
namespace az::test {

std::vector<OpCase> reduce_cases() {
  return {
      {"sum", "sum", [](const Inputs& x) { return sum(x[0]); }},
      {"sum_axes", "sum",
       [](const Inputs& x) {
         return sum(x[0], {.axes = {0, 2}});
       }},
      {"sum_keep", "sum", [](const Inputs& x) { return sum(x[0], {.axes = {-2}, .keep_axes = true}); }},
      {"sum_images",
       "sum",
       [](const Inputs& x) {
         return sum(x[0], {.axes = {0, 2, 3}});
       },
       {.images = 1}},
      {"mean", "mean", [](const Inputs& x) { return mean(x[0]); }},
      {"mean_axes", "mean",
       [](const Inputs& x) {
         return mean(x[0], {.axes = {0, 2}});
       }},
      {"mean_keep", "mean", [](const Inputs& x) { return mean(x[0], {.axes = {-2}, .keep_axes = true}); }},
      {"max", "max", [](const Inputs& x) { return max(x[0]); }},
      {"max_axes", "max",
       [](const Inputs& x) {
         return max(x[0], {.axes = {0, 2}});
       }},
      {"max_keep", "max", [](const Inputs& x) { return max(x[0], {.axes = {1}, .keep_axes = true}); }},
      {"max_ties", "max", [](const Inputs& x) { return max(x[0], {.axes = {1}}); }, {.differences = false}},
      {"min", "min", [](const Inputs& x) { return min(x[0]); }},
      {"min_axes", "min",
       [](const Inputs& x) {
         return min(x[0], {.axes = {0, 2}});
       }},
      {"min_keep", "min", [](const Inputs& x) { return min(x[0], {.axes = {1}, .keep_axes = true}); }},
      {"min_ties", "min", [](const Inputs& x) { return min(x[0], {.axes = {1}}); }, {.differences = false}},
      {"logsumexp", "logsumexp", [](const Inputs& x) { return logsumexp(x[0]); }},
      {"logsumexp_axes", "logsumexp",
       [](const Inputs& x) {
         return logsumexp(x[0], {.axes = {0, 2}, .keep_axes = true});
       }},
      {"logsumexp_large",
       "logsumexp",
       [](const Inputs& x) { return logsumexp(x[0], {.axes = {1}}); },
       {.differences = false, .f32_tolerance = 1e-4}},
      {"var", "var", [](const Inputs& x) { return var(x[0]); }},
      {"var_axes", "var",
       [](const Inputs& x) {
         return var(x[0], {.axes = {0, 2}, .correction = 0});
       }},
      {"var_keep", "var", [](const Inputs& x) { return var(x[0], {.axes = {1}, .keep_axes = true}); }},
      {"var_offset", "var", [](const Inputs& x) { return var(x[0], {.axes = {1}}); }},
      {"norm", "norm", [](const Inputs& x) { return norm(x[0]); }},
      {"norm_axes", "norm",
       [](const Inputs& x) {
         return norm(x[0], {.axes = {1, 2}, .keep_axes = true});
       }},
      {"norm_zero", "norm", [](const Inputs& x) { return norm(x[0], {.axes = {1}}); }, {.differences = false}},
      {"argmax", "argmax", [](const Inputs& x) { return argmax(x[0], 1); }},
      {"argmax_first_axis", "argmax", [](const Inputs& x) { return argmax(x[0], 0); }},
      {"topk", "topk", [](const Inputs& x) { return topk(x[0], 3).values; }},
      {"topk_indices", "topk", [](const Inputs& x) { return topk(x[0], 3).indices; }},
      {"cosine_similarity",
       "cosine_similarity",
       [](const Inputs& x) { return cosine_similarity(x[0], x[1]); },
       {.bf16_tolerance = 2e-2}},
      {"cosine_similarity_first_axis",
       "cosine_similarity",
       [](const Inputs& x) { return cosine_similarity(x[0], x[1], {.axis = 0}); },
       {.bf16_tolerance = 2e-2}},
      {"sum_to", "sum_to",
       [](const Inputs& x) {
         return sum_to(x[0], {3, 1});
       }},
      {"broadcast_to", "broadcast_to",
       [](const Inputs& x) {
         return broadcast_to(x[0], {2, 3, 4});
       }},

      {"matmul", "matmul", [](const Inputs& x) { return matmul(x[0], x[1]); }, {.bf16_inputs = 0}},
      {"matmul_large", "matmul", [](const Inputs& x) { return matmul(x[0], x[1]); }, {.bf16_inputs = 0}},
      {"matmul_batched", "matmul", [](const Inputs& x) { return matmul(x[0], x[1]); }, {.bf16_inputs = 0}},
      {"matmul_broadcast", "matmul", [](const Inputs& x) { return matmul(x[0], x[1]); }, {.bf16_inputs = 0}},
      {"matmul_shared", "matmul", [](const Inputs& x) { return matmul(x[0], x[1]); }, {.bf16_inputs = 0}},
      {"linear",
       "linear",
       [](const Inputs& x) { return linear(x[0], x[1], x[2]); },
       {.bf16_inputs = 1, .bf16_gives = DType::f32}},
      {"linear_no_bias",
       "linear",
       [](const Inputs& x) { return linear(x[0], x[1], {}); },
       {.bf16_inputs = 1, .bf16_gives = DType::f32}},

      {"softmax", "softmax", [](const Inputs& x) { return softmax(x[0]); }},
      {"softmax_axis", "softmax", [](const Inputs& x) { return softmax(x[0], 1); }, {.bf16_tolerance = 1e-2}},
      {"softmax_large",
       "softmax",
       [](const Inputs& x) { return softmax(x[0]); },
       {.differences = false, .bf16_tolerance = 2e-2}},
      {"log_softmax", "log_softmax", [](const Inputs& x) { return log_softmax(x[0]); }},
      {"log_softmax_axis", "log_softmax", [](const Inputs& x) { return log_softmax(x[0], 0); }},
      {"log_softmax_large", "log_softmax", [](const Inputs& x) { return log_softmax(x[0]); }, {.differences = false}},
      {"cross_entropy", "cross_entropy", [](const Inputs& x) { return cross_entropy(x[0], x[1]); }, {.bf16_gives = DType::f32}},
      {"cross_entropy_smooth",
       "cross_entropy",
       [](const Inputs& x) { return cross_entropy(x[0], x[1], {.label_smoothing = 0.2}); },
       {.bf16_gives = DType::f32}},
      {"cross_entropy_soft",
       "cross_entropy",
       [](const Inputs& x) { return cross_entropy(x[0], x[1]); },
       {.bf16_gives = DType::f32}},
      {"cross_entropy_soft_smooth",
       "cross_entropy",
       [](const Inputs& x) { return cross_entropy(x[0], x[1], {.label_smoothing = 0.1}); },
       {.bf16_gives = DType::f32}},
      {"mse_loss", "mse_loss", [](const Inputs& x) { return mse_loss(x[0], x[1]); }},
  };
}

}  // namespace az::test
