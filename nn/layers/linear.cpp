#include "nn/layers/linear.h"

#include <fmt/format.h>

#include "core/ops/matmul.h"

namespace az::nn {

Linear::Linear(int64_t in_features, const LinearOptions& given) {
  const auto options = config::checked("linear", given);
  if (in_features < 1) fail("Linear: {} inputs", in_features);
  Tensor weight = Tensor::empty({options.out_features, in_features});
  init::weight(weight, options.init);
  add_parameter("weight", weight);
  Tensor bias;
  if (options.bias) init::bias(bias = Tensor::empty({options.out_features}), weight.shape());
  add_parameter("bias", bias, ParameterKind::bias);
}

Tensor Linear::forward(const Tensor& x) { return linear(x, parameter("weight"), parameter("bias")); }

std::string Linear::describe() const {
  const Shape& weight = parameter("weight").shape();
  return fmt::format("Linear({} -> {})", weight[1], weight[0]);
}

int64_t Linear::multiply_adds(const Shape& input, const Shape&) const { return input[0] * parameter("weight").numel(); }

}  // namespace az::nn
