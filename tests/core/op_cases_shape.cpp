#include "core/autograd/autograd.h"
#include "core/base/random.h"
#include "core/ops/elementwise.h"
#include "core/ops/shape.h"
#include "core/tensor/create.h"
#include "tests/core/op_cases.h"

// Ops that move elements, and ops that create them.
namespace az::test {

std::vector<OpCase> shape_cases() {
  return {
      {"reshape", "reshape",
       [](const Inputs& x) {
         return x[0].reshape({4, -1});
       }},
      {"clone", "clone", [](const Inputs& x) { return x[0].clone(); }, {.images = 1}},
      {"permute", "permute",
       [](const Inputs& x) {
         return permute(x[0], {2, 0, 1});
       }},
      {"permute_images",
       "permute",
       [](const Inputs& x) {
         return permute(x[0], {0, 2, 3, 1});
       },
       {.images = 1}},
      {"transpose", "transpose", [](const Inputs& x) { return transpose(x[0]); }},
      {"flatten", "flatten", [](const Inputs& x) { return flatten(x[0]); }, {.images = 1}},
      {"flatten_all", "flatten", [](const Inputs& x) { return flatten(x[0], 0); }},
      {"concat", "concat",
       [](const Inputs& x) {
         return concat({x[0], x[1], x[2]}, 1);
       }},
      {"concat_last", "concat",
       [](const Inputs& x) {
         return concat({x[0], x[1]}, -1);
       }},
      {"concat_images",
       "concat",
       [](const Inputs& x) {
         return concat({x[0], x[1]}, 1);
       },
       {.images = 2}},
      {"stack", "stack",
       [](const Inputs& x) {
         return stack({x[0], x[1]}, 1);
       }},
      {"slice", "slice", [](const Inputs& x) { return slice(x[0], {.axis = 1, .begin = 1, .end = 4}); }},
      {"slice_step", "slice", [](const Inputs& x) { return slice(x[0], {.begin = 1, .step = 3}); }},
      {"slice_back", "slice", [](const Inputs& x) { return slice(x[0], {.axis = -1, .begin = -3, .end = -1}); }},
      {"slice_images", "slice", [](const Inputs& x) { return slice(x[0], {.axis = 1, .begin = 3, .end = 17}); }, {.images = 1}},
      {"pad", "pad",
       [](const Inputs& x) {
         return pad(x[0], {.before = {1, 2}, .after = {3, 0}, .value = 1.5});
       }},
      {"pad_images",
       "pad",
       [](const Inputs& x) {
         return pad(x[0], {.before = {0, 0, 0, 1}, .after = {0, 0, 1, 2}});
       },
       {.images = 1}},
      {"index_select", "index_select", [](const Inputs& x) { return index_select(x[0], x[1], 0); }},
      {"index_select_last", "index_select", [](const Inputs& x) { return index_select(x[0], x[1], -1); }},
      {"gather", "gather", [](const Inputs& x) { return gather(x[0], x[1], 1); }},
      {"gather_first_axis", "gather", [](const Inputs& x) { return gather(x[0], x[1], 0); }},

      {"zeros",
       "zeros",
       [](const Inputs& x) {
         return zeros({2, 3}, x.type);
       },
       {.bf16_inputs = 0}},
      {"ones",
       "ones",
       [](const Inputs& x) {
         return ones({2, 3}, x.type);
       },
       {.bf16_inputs = 0}},
      {"full",
       "full",
       [](const Inputs& x) {
         return full({2, 3}, -1.5, x.type);
       },
       {.bf16_inputs = 0}},
      {"zeros_like", "zeros_like", [](const Inputs& x) { return zeros_like(x[0]); }, {.images = 1}},
      {"ones_like", "ones_like", [](const Inputs& x) { return ones_like(x[0]); }, {.images = 1}},
      {"arange",
       "arange",
       [](const Inputs& x) { return arange({.start = 1, .end = 4, .step = 0.5}, x.type); },
       {.bf16_inputs = 0}},
      {"randn_times",
       "randn",
       [](const Inputs& x) {
         Philox generator(5);
         return x[0] * randn({20}, generator, x.type);
       },
       {.bf16_inputs = 0, .random_inputs = {{20}}}},
      {"uniform_times",
       "uniform",
       [](const Inputs& x) {
         Philox generator(5);
         return x[0] * uniform({20}, {.low = 1, .high = 2}, generator, x.type);
       },
       {.bf16_inputs = 0, .random_inputs = {{20}}}},
  };
}

}  // namespace az::test
