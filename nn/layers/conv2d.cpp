#include "nn/layers/conv2d.h"

#include <fmt/format.h>

namespace az::nn {

Conv2d::Conv2d(int64_t in_channels, const Conv2dOptions& options)
    : in_channels_(in_channels), options_(config::checked("conv2d", options)) {
  const auto& o = options_;
  if (in_channels < 1 || in_channels % o.groups != 0 || o.out_channels % o.groups != 0) {
    fail("Conv2d: {} groups do not divide {} input and {} output channels", o.groups, in_channels, o.out_channels);
  }
  Tensor weight = Tensor::empty({o.out_channels, in_channels / o.groups, o.kernel, o.kernel});
  init::weight(weight, o.init);
  add_parameter("weight", weight);
  Tensor bias;
  if (o.bias) init::bias(bias = Tensor::empty({o.out_channels}), weight.shape());
  add_parameter("bias", bias, ParameterKind::bias);
}

Conv2dParams Conv2d::params() const {
  const auto& o = options_;
  return {.stride = o.stride, .padding = o.padding, .dilation = o.dilation, .groups = o.groups};
}

Tensor Conv2d::forward(const Tensor& x) { return conv2d(x, parameter("weight"), parameter("bias"), params()); }

Pass Conv2d::then_norm(const Tensor& x, BatchNorm2d& norm, const Then& then, const Module* also) {
  const ConvNorm both{parameter("weight"), parameter("bias"), params(), norm.tensors(), norm.params(), then};
  if (!is_one_pass(x, both)) return norm.then((*this)(x), then, also);
  const Pass conv = enter(x, [&] {
    return Pass{conv2d_norm(x, both), is_watched({this, &norm, also}) ? forward(x) : Tensor()};
  });
  return norm.applied_then(conv, then, also);
}

std::string Conv2d::describe() const {
  const auto& o = options_;
  std::string text = fmt::format("Conv2d({} -> {}, kernel {}", in_channels_, o.out_channels, o.kernel);
  if (o.stride != 1) text += fmt::format(", stride {}", o.stride);
  if (o.padding != 0) text += fmt::format(", padding {}", o.padding);
  if (o.dilation != 1) text += fmt::format(", dilation {}", o.dilation);
  if (o.groups != 1) text += fmt::format(", groups {}", o.groups);
  return text + ")";
}

int64_t Conv2d::multiply_adds(const Shape&, const Shape& output) const {
  return output.numel() * parameter("weight").numel() / options_.out_channels;
}

}  // namespace az::nn
