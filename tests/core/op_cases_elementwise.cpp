#include "core/base/random.h"
#include "core/ops/activations.h"
#include "core/ops/elementwise.h"
#include "tests/core/op_cases.h"

namespace az::test {

std::vector<OpCase> elementwise_cases() {
  return {
      {"add", "add", [](const Inputs& x) { return add(x[0], x[1]); }},
      {"add_broadcast", "add", [](const Inputs& x) { return x[0] + x[1]; }},
      {"add_images", "add", [](const Inputs& x) { return x[0] + x[1]; }, {.images = 2}},
      {"add_channels", "add", [](const Inputs& x) { return x[0] + x[1]; }, {.images = 1}},
      {"add_itself", "add", [](const Inputs& x) { return x[0] + x[0]; }, {.images = 1}},
      {"add_scalar", "add", [](const Inputs& x) { return x[0] + 1.5; }},
      {"sub", "sub", [](const Inputs& x) { return sub(x[0], x[1]); }, {.images = 1}},
      {"mul", "mul", [](const Inputs& x) { return mul(x[0], x[1]); }, {.images = 2}},
      {"mul_broadcast", "mul", [](const Inputs& x) { return x[0] * x[1]; }},
      {"mul_images", "mul", [](const Inputs& x) { return x[0] * x[1]; }, {.images = 1}},
      {"mul_scalar", "mul", [](const Inputs& x) { return x[0] * -2.5; }},
      {"div", "div", [](const Inputs& x) { return div(x[0], x[1]); }, {.images = 2}},
      {"div_broadcast", "div", [](const Inputs& x) { return x[0] / x[1]; }},
      {"maximum", "maximum", [](const Inputs& x) { return maximum(x[0], x[1]); }, {.images = 2}},
      {"maximum_broadcast", "maximum", [](const Inputs& x) { return maximum(x[0], x[1]); }},
      {"maximum_ties", "maximum", [](const Inputs& x) { return maximum(x[0], x[1]); }, {.differences = false}},
      {"minimum", "minimum", [](const Inputs& x) { return minimum(x[0], x[1]); }, {.images = 2}},
      {"minimum_ties", "minimum", [](const Inputs& x) { return minimum(x[0], x[1]); }, {.differences = false}},
      {"atan2", "atan2", [](const Inputs& x) { return atan2(x[0], x[1]); }, {.images = 2}},
      {"atan2_broadcast", "atan2", [](const Inputs& x) { return atan2(x[0], x[1]); }, {.bf16_tolerance = 1e-2}},
      {"where", "where", [](const Inputs& x) { return where(x[0], x[1], x[2]); }},
      {"where_broadcast", "where", [](const Inputs& x) { return where(x[0], x[1], x[2]); }},

      {"neg", "neg", [](const Inputs& x) { return neg(x[0]); }, {.images = 1}},
      {"exp", "exp", [](const Inputs& x) { return exp(x[0]); }, {.images = 1}},
      {"log", "log", [](const Inputs& x) { return log(x[0]); }, {.images = 1}},
      {"sqrt", "sqrt", [](const Inputs& x) { return sqrt(x[0]); }, {.images = 1}},
      {"sin", "sin", [](const Inputs& x) { return sin(x[0]); }, {.images = 1}},
      {"cos", "cos", [](const Inputs& x) { return cos(x[0]); }, {.images = 1}},
      {"tanh", "tanh", [](const Inputs& x) { return tanh(x[0]); }, {.images = 1, .bf16_tolerance = 1e-2}},
      {"sigmoid", "sigmoid", [](const Inputs& x) { return sigmoid(x[0]); }, {.images = 1}},
      {"sigmoid_extreme", "sigmoid", [](const Inputs& x) { return sigmoid(x[0]); }, {.bf16_tolerance = 1e-2}},
      {"abs", "abs", [](const Inputs& x) { return abs(x[0]); }, {.images = 1}},
      {"abs_zero", "abs", [](const Inputs& x) { return abs(x[0]); }, {.differences = false}},
      {"pow_cube", "pow", [](const Inputs& x) { return pow(x[0], 3); }, {.images = 1}},
      {"pow_root", "pow", [](const Inputs& x) { return pow(x[0], 0.5); }, {.images = 1}},
      {"pow_inverse", "pow", [](const Inputs& x) { return pow(x[0], -1); }, {.images = 1}},
      {"pow_square_zero", "pow", [](const Inputs& x) { return pow(x[0], 2); }},
      {"clamp", "clamp", [](const Inputs& x) { return clamp(x[0], {.min = -0.2, .max = 0.5}); }, {.images = 1}},
      {"clamp_edges", "clamp", [](const Inputs& x) { return clamp(x[0], {.min = -0.5, .max = 1}); }, {.differences = false}},
      {"relu", "relu", [](const Inputs& x) { return relu(x[0]); }, {.images = 1}},
      {"relu_zero", "relu", [](const Inputs& x) { return relu(x[0]); }, {.differences = false}},
      {"leaky_relu", "leaky_relu", [](const Inputs& x) { return leaky_relu(x[0], 0.2); }, {.images = 1}},
      {"leaky_relu_default", "leaky_relu", [](const Inputs& x) { return leaky_relu(x[0]); }},
      {"gelu", "gelu", [](const Inputs& x) { return gelu(x[0]); }, {.images = 1}},
      {"silu", "silu", [](const Inputs& x) { return silu(x[0]); }, {.images = 1, .bf16_tolerance = 1e-2}},
      {"dropout",
       "dropout",
       [](const Inputs& x) {
         set_random_state({.seed = 3, .draws = 0});
         return dropout(x[0], 0.4);
       },
       {.images = 1, .random_inputs = {{2, 20, 5, 3}}}},

      {"equal", "equal", [](const Inputs& x) { return equal(x[0], x[1]); }},
      {"not_equal", "not_equal", [](const Inputs& x) { return not_equal(x[0], x[1]); }},
      {"less", "less", [](const Inputs& x) { return less(x[0], x[1]); }},
      {"less_equal", "less_equal", [](const Inputs& x) { return less_equal(x[0], x[1]); }},
      {"greater", "greater", [](const Inputs& x) { return greater(x[0], x[1]); }},
      {"greater_equal", "greater_equal", [](const Inputs& x) { return greater_equal(x[0], x[1]); }},
  };
}

}  // namespace az::test
