#include "core/ops/conv.h"

#include "core/autograd/autograd.h"
#include "core/backend/backend.h"
#include "core/base/profile.h"
#include "core/ops/elementwise.h"
#include "core/ops/norm.h"

namespace az {
namespace {

Shape conv2d_shape(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& p) {
  auto both = [&] { return fmt::format("(input {}, weight {})", x.shape().str(), weight.shape().str()); };
  if (x.rank() != 4 || weight.rank() != 4) fail("conv2d: input and weight have 4 axes {}", both());
  if (p.groups < 1 || p.stride.h < 1 || p.stride.w < 1 || p.dilation.h < 1 || p.dilation.w < 1 || p.padding.h < 0 ||
      p.padding.w < 0) {
    fail("conv2d: stride, dilation and groups are at least 1, padding at least 0");
  }
  if (x.size(1) != weight.size(1) * p.groups) {
    fail("conv2d: input has {} channels, weight expects {} {}", x.size(1), weight.size(1) * p.groups, both());
  }
  if (weight.size(0) % p.groups) fail("conv2d: {} output channels do not divide into {} groups", weight.size(0), p.groups);
  if (bias.defined() && bias.shape() != Shape{weight.size(0)})
    fail("conv2d: bias is {}, expected [{}]", bias.shape().str(), weight.size(0));
  DType wanted = x.dtype() == DType::bf16 ? DType::f32 : x.dtype();
  for (const Tensor& parameter : {weight, bias}) {
    if (parameter.defined() && parameter.dtype() != wanted) {
      fail("conv2d: input is {}, so weight and bias are {}, not {}", name_of(x.dtype()), name_of(wanted),
           name_of(parameter.dtype()));
    }
  }
  auto side = [](int64_t in, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
    int64_t room = in + 2 * padding - dilation * (kernel - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
  };
  int64_t h = side(x.size(2), weight.size(2), p.stride.h, p.padding.h, p.dilation.h);
  int64_t w = side(x.size(3), weight.size(3), p.stride.w, p.padding.w, p.dilation.w);
  if (h < 1 || w < 1) fail("conv2d: the kernel is larger than the padded input {}", both());
  return {x.size(0), weight.size(0), h, w};
}

}  // namespace

// dx: the transposed convolution of g with the weight. dweight: the correlation of x with g. dbias: g summed over n, h, w.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& params, const Conv2dThen& then) {
  Shape shape = conv2d_shape(x, weight, bias, params);
  const Tensor& residual = then.residual;
  if (residual.defined() && (residual.shape() != shape || residual.dtype() != x.dtype())) {
    fail("conv2d: the result is {} {}, the residual {}", name_of(x.dtype()), shape.str(), describe(residual));
  }
  const Tensor& scale = then.scale;
  if (scale.defined() && (scale.shape() != Shape{weight.size(0)} || scale.dtype() != weight.dtype())) {
    fail("conv2d: weight is {}, so scale is {} [{}], not {}", describe(weight), name_of(weight.dtype()), weight.size(0),
         describe(scale));
  }
  if ((scale.defined() || residual.defined() || then.relu) && needs_grad({x, weight, bias, scale, residual})) {
    Tensor y = conv2d(x, scale.defined() ? weight * scale.reshape({-1, 1, 1, 1}) : weight, bias, params);
    if (residual.defined()) return then.relu ? add_relu(y, residual) : y + residual;
    return then.relu ? relu(y) : y;
  }
  Backend& backend = backend_for(x.dtype(), "conv2d");
  const bool one_by_one = params.groups == x.size(1) && params.groups == shape[1];  // depthwise: channels are not mixed
  const Scaling scaling{Scaling::Says::terms,
                        {{.axes = {0, one_by_one ? 1 : -1, -1, -1}}, {.axes = {1, -1, -1, -1}}, {.term = 1, .axes = {1}}},
                        true};
  return record("conv2d", backend.conv2d(x, weight, bias, params, then, shape), {x, weight, bias}, saved(x, weight),
                ByKernel{[params, &backend](const Back& k) {
                  const Tensor &input = k.saved[0], &kernel = k.saved[1];
                  Grads grads(3);
                  if (k.needs(1) || k.needs(2)) {
                    auto d = backend.conv2d_backward_weights(k.g, input, kernel.shape(), k.needs(2), params);
                    grads[1] = d.weight;
                    grads[2] = d.bias;
                    Profile::ended(Phase::backward, "conv2d_weights");  // by itself, as it tends to be the slowest
                  }
                  if (k.needs(0)) grads[0] = backend.conv2d_backward_data(k.g, kernel, params, input.shape());
                  return grads;
                }},
                scaling);
}

}  // namespace az
