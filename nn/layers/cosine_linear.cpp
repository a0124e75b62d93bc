#include "nn/layers/cosine_linear.h"

#include <fmt/format.h>

#include "core/ops/elementwise.h"
#include "core/ops/matmul.h"
#include "core/ops/reduce.h"
#include "core/tensor/create.h"
#include "nn/layers/row_norms.h"

namespace az::nn {
namespace {

Tensor unit_rows(const Tensor& x) { return x * inverse_row_norms(x); }

}  // namespace

CosineLinear::CosineLinear(int64_t in_features, const CosineLinearOptions& given) : train_scale_(given.train_scale) {
  const auto options = config::checked("cosine_linear", given);
  if (in_features < 1) fail("CosineLinear: {} inputs", in_features);
  Tensor weight = Tensor::empty({options.out_features, in_features});
  init::weight(weight, options.init);
  if (min(row_norms(weight)).item() == 0)
    fail("CosineLinear: a row of the weight is all zeros, which has no direction; start it otherwise than with init \"{}\"",
         options.init);
  add_parameter("weight", weight);
  const Tensor scale = full({1}, options.scale);
  train_scale_ ? add_parameter("scale", scale, ParameterKind::norm) : add_buffer("scale", scale);
}

Tensor CosineLinear::forward(const Tensor& x) {
  const Tensor& weight = parameter("weight");
  const Tensor cosines = linear(unit_rows(x.to(weight.dtype())), unit_rows(weight), {});
  return cosines * (train_scale_ ? parameter("scale") : buffer("scale"));
}

std::string CosineLinear::describe() const {
  const Shape& weight = parameter("weight").shape();
  return fmt::format("CosineLinear({} -> {})", weight[1], weight[0]);
}

int64_t CosineLinear::multiply_adds(const Shape& input, const Shape&) const { return input[0] * parameter("weight").numel(); }

}  // namespace az::nn
