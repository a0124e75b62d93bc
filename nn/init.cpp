#include "nn/init.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "core/autograd/autograd.h"
#include "core/base/error.h"
#include "core/base/random.h"

namespace az::nn::init {

namespace {

template <class Draw> void fill(const Tensor& tensor, Draw draw) {
  NoGrad no_grad;
  Philox generator = next_generator();
  visit(tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_floating_point_v<T>) {
      T* values = tensor.mutable_data<T>();
      for (int64_t i = 0; i < tensor.numel(); ++i) values[i] = T(draw(generator));
    } else {
      fail("init: cannot fill a tensor of type {}", name_of(tensor.dtype()));
    }
  });
}

double root_of_fan(const Tensor& weight, Fan fan) {
  Fans both = fans(weight.shape());
  return std::sqrt(double(fan == Fan::in ? both.in : both.out));
}

}  // namespace

Fans fans(const Shape& weight) {
  if (weight.rank() < 2) fail("init: a weight has at least two axes (got {})", weight.str());
  int64_t behind = 1;
  for (int axis = 2; axis < weight.rank(); ++axis) behind *= weight[axis];
  return {weight[1] * behind, weight[0] * behind};
}

double relu_gain() { return std::sqrt(2.0); }
double leaky_relu_gain(double slope) { return std::sqrt(2 / (1 + slope * slope)); }

void normal(const Tensor& tensor, NormalOptions options) {
  fill(tensor, [&](Philox& generator) { return options.mean + options.std * generator.normal(); });
}

void uniform(const Tensor& tensor, double bound) {
  fill(tensor, [&](Philox& generator) { return generator.uniform(-bound, bound); });
}

void kaiming_normal(const Tensor& weight, KaimingOptions options) {
  normal(weight, {.mean = 0, .std = options.gain / root_of_fan(weight, options.fan)});
}

void kaiming_uniform(const Tensor& weight, KaimingOptions options) {
  uniform(weight, options.gain * std::sqrt(3.0) / root_of_fan(weight, options.fan));
}

void xavier_normal(const Tensor& weight, double gain) {
  Fans both = fans(weight.shape());
  normal(weight, {.mean = 0, .std = gain * std::sqrt(2.0 / double(both.in + both.out))});
}

void xavier_uniform(const Tensor& weight, double gain) {
  Fans both = fans(weight.shape());
  uniform(weight, gain * std::sqrt(6.0 / double(both.in + both.out)));
}

void constant(const Tensor& tensor, double value) {
  NoGrad no_grad;
  tensor.fill_(value);
}

void zeros(const Tensor& tensor) { constant(tensor, 0); }

void dirac(const Tensor& weight) {
  NoGrad no_grad;
  const Shape& shape = weight.shape();
  const int64_t row = fans(shape).in;
  int64_t centre = 0;
  for (int axis = 2; axis < shape.rank(); ++axis) centre = centre * shape[axis] + shape[axis] / 2;
  visit(weight.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* values = weight.mutable_data<T>();
    for (int64_t o = 0; o < std::min(shape[0], shape[1]); ++o) {
      std::fill_n(values + o * row, row, T(0));
      values[o * row + o * (row / shape[1]) + centre] = T(1);
    }
  });
}

const std::vector<std::string>& names() {
  static const std::vector<std::string> all = {"pytorch",         "kaiming_normal", "kaiming_normal_fan_out",
                                               "kaiming_uniform", "xavier_normal",  "xavier_uniform",
                                               "zeros",           "dirac"};
  return all;
}

void weight(const Tensor& weight, const std::string& name) {
  if (name == "pytorch")
    kaiming_uniform(weight, {.gain = leaky_relu_gain(std::sqrt(5.0))});
  else if (name == "kaiming_normal")
    kaiming_normal(weight);
  else if (name == "kaiming_normal_fan_out")
    kaiming_normal(weight, {.fan = Fan::out});
  else if (name == "kaiming_uniform")
    kaiming_uniform(weight);
  else if (name == "xavier_normal")
    xavier_normal(weight);
  else if (name == "xavier_uniform")
    xavier_uniform(weight);
  else if (name == "zeros")
    zeros(weight);
  else if (name == "dirac") {
    init::weight(weight, "pytorch");
    dirac(weight);
  } else
    throw ConfigError(fmt::format("init: no initialiser \"{}\"; there are {}", name, fmt::join(names(), ", ")));
}

void bias(const Tensor& bias, const Shape& weight) { uniform(bias, 1 / std::sqrt(double(fans(weight).in))); }

}  // namespace az::nn::init
