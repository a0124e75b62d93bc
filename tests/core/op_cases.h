#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/tensor/tensor.h"

// The table that drives the tests of all ops: one row a case. A row whose name is in tests/golden/ops.safetensors takes its
// inputs, value and gradients from there.
namespace az::test {

struct Inputs : std::vector<Tensor> {
  DType type = DType::f64;  // in which the case runs
};

struct Traits {
  int images = 0;                         // the first so many inputs are [n,c,h,w] and are also fed in a blocked layout
  bool differences = true;                // false at a kink, where values drown the differences, or when it takes long
  std::string by_kernel = {};             // the op whose gradient cannot be differentiated again
  double f32_tolerance = 1e-5;            // norm-wise, of values and gradients against f64
  unsigned bf16_inputs = ~0u;             // bit i: input i may be bf16, the others being f32 then; 0: no op takes it
  double bf16_tolerance = 4e-3;           // norm-wise; one rounding to bf16 is 1.7e-3 in the mean
  DType bf16_gives = DType::bf16;         // number type of a floating result then
  std::vector<Shape> random_inputs = {};  // instead of a golden's: uniform in [-1, 1)
};

struct OpCase {
  std::string name, op;  // the op as declared in core/ops
  std::function<Tensor(const Inputs&)> function;
  Traits traits = {};
};

std::vector<OpCase> elementwise_cases();
std::vector<OpCase> reduce_cases();
std::vector<OpCase> shape_cases();
std::vector<OpCase> image_cases();
std::vector<OpCase> norm_cases();

// All rows.
const std::vector<OpCase>& op_cases();

}  // namespace az::test
