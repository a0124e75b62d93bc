#include <optional>

#include "core/backend/conv/choice.h"
#include "core/backend/conv/offer.h"
#include "core/backend/native.h"
#include "core/backend/reference.h"
#include "core/base/profile.h"

namespace az {
namespace {

// The result of the implementation that is chosen; none where none is right.
template <class Direction>
std::optional<typename Direction::Result> solved(const ConvProblem& problem, const typename Direction::Operands& operands) {
  const auto by = chosen<Direction>(problem, operands, offered<Direction>);
  if (!by) return {};
  Profile::computed_by(by->name);
  return by->solve(operands);
}

// For the reference back end.
Tensor exact(const Tensor& x) { return x.defined() ? x.detach().plain().to(DType::f64) : Tensor(); }

}  // namespace

Tensor Native::conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& scale,
                      const Conv2dParams& params, const Then& then, const Shape& result) {
  const ConvProblem problem{.direction = "forward",
                            .x = x.shape(),
                            .weight = weight.shape(),
                            .y = result,
                            .type = x.dtype(),
                            .params = params,
                            .bias = bias.defined(),
                            .residual = then.residual.defined(),
                            .relu = then.relu,
                            .given = {x.layout()}};
  const ConvForward::Operands operands{x, weight, bias, scale, then};
  if (auto found = solved<ConvForward>(problem, operands)) return *std::move(found);
  return Reference()
      .conv2d(exact(x), exact(weight), exact(bias), exact(scale), params, {exact(then.residual), then.relu}, result)
      .to(x.dtype());
}

Tensor Native::conv2d_backward_data(const Tensor& g, const Tensor& weight, const Conv2dParams& params, const Shape& x) {
  const ConvProblem problem{.direction = "backward_data",
                            .x = x,
                            .weight = weight.shape(),
                            .y = g.shape(),
                            .type = g.dtype(),
                            .params = params,
                            .given = {g.layout()}};
  const ConvBackwardData::Operands operands{g, weight};
  if (auto found = solved<ConvBackwardData>(problem, operands)) return *std::move(found);
  return Reference().conv2d_backward_data(exact(g), exact(weight), params, x).to(g.dtype());
}

ConvWeightGradients Native::conv2d_backward_weights(const Tensor& g, const Tensor& x, const Shape& weight, bool with_bias,
                                                    const Conv2dParams& params) {
  const ConvProblem problem{.direction = "backward_weights",
                            .x = x.shape(),
                            .weight = weight,
                            .y = g.shape(),
                            .type = g.dtype(),
                            .params = params,
                            .bias = with_bias,
                            .given = {x.layout(), g.layout()}};
  const ConvBackwardWeights::Operands operands{x, g};
  if (auto found = solved<ConvBackwardWeights>(problem, operands)) return *std::move(found);
  const ConvWeightGradients d = Reference().conv2d_backward_weights(exact(g), exact(x), weight, with_bias, params);
  return {d.weight.to(DType::f32), with_bias ? d.bias.to(DType::f32) : Tensor()};
}

}  // namespace az
