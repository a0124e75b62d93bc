#include "core/backend/onednn/conv_choice.h"
#include "core/backend/onednn/conv_directions.h"
#include "core/backend/onednn/onednn.h"
#include "core/backend/reference.h"

namespace az {
namespace {

using namespace onednn;

// For the reference back end.
Tensor exact(const Tensor& x) { return x.defined() ? x.detach().plain().to(DType::f64) : Tensor(); }

}  // namespace

Tensor OneDnn::conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& scale,
                      const Conv2dParams& params, const Then& then, const Shape& result) {
  ConvForward op{{"forward", x.shape(), weight.shape(), result, x.dtype(), params}};
  op.problem.bias = bias.defined();
  op.problem.residual = then.residual.defined();
  op.problem.relu = then.relu;
  op.problem.given = {x.layout()};
  const ConvForward::Operands operands{x, weight, bias, scale, then};
  if (const auto by = chosen(op, operands)) return op.solve(*by, operands);
  return Reference()
      .conv2d(exact(x), exact(weight), exact(bias), exact(scale), params, {exact(then.residual), then.relu}, result)
      .to(x.dtype());
}

Tensor OneDnn::conv2d_backward_data(const Tensor& g, const Tensor& weight, const Conv2dParams& params, const Shape& x) {
  ConvBackwardData op{{"backward_data", x, weight.shape(), g.shape(), g.dtype(), params}};
  op.problem.given = {g.layout()};
  const ConvBackwardData::Operands operands{g, weight};
  if (const auto by = chosen(op, operands)) return op.solve(*by, operands);
  return Reference().conv2d_backward_data(exact(g), exact(weight), params, x).to(g.dtype());
}

ConvWeightGradients OneDnn::conv2d_backward_weights(const Tensor& g, const Tensor& x, const Shape& weight, bool with_bias,
                                                    const Conv2dParams& params) {
  ConvBackwardWeights op{{"backward_weights", x.shape(), weight, g.shape(), g.dtype(), params}};
  op.problem.bias = with_bias;
  op.problem.given = {x.layout(), g.layout()};
  const ConvBackwardWeights::Operands operands{x, g};
  if (const auto by = chosen(op, operands)) return op.solve(*by, operands);
  const ConvWeightGradients d = Reference().conv2d_backward_weights(exact(g), exact(x), weight, with_bias, params);
  return {d.weight.to(DType::f32), with_bias ? d.bias.to(DType::f32) : Tensor()};
}

}  // namespace az
