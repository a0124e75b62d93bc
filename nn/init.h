#pragma once

#include <string>
#include <vector>

#include "core/config/options.h"
#include "core/tensor/tensor.h"

// Fills a tensor in place with PyTorch's definitions, drawing from next_generator(). For a weight [out,in,...] with r elements
// behind the first two axes: fan_in = in r, fan_out = out r.
namespace az::nn::init {

enum class Fan { in, out };
struct Fans {
  int64_t in, out;
};
Fans fans(const Shape& weight);  // throws below two axes

// The factor that keeps variance through an activation: relu sqrt(2), leaky_relu sqrt(2 / (1 + slope^2)).
double relu_gain();
double leaky_relu_gain(double slope);

struct KaimingOptions {
  Fan fan = Fan::in;
  double gain = relu_gain();
};
void kaiming_normal(const Tensor& weight, KaimingOptions options = {});   // std = gain / sqrt(fan)
void kaiming_uniform(const Tensor& weight, KaimingOptions options = {});  // in +- gain sqrt(3 / fan)
void xavier_normal(const Tensor& weight, double gain = 1);                // std = gain sqrt(2 / (fan_in + fan_out))
void xavier_uniform(const Tensor& weight, double gain = 1);               // in +- gain sqrt(6 / (fan_in + fan_out))
struct NormalOptions {
  double mean = 0, std = 1;
};
void normal(const Tensor& tensor, NormalOptions options);
void uniform(const Tensor& tensor, double bound);  // in +- bound
void constant(const Tensor& tensor, double value);
void zeros(const Tensor& tensor);
// A weight [out,in,...] that passes the first min(in, out) channels on as they are (torch's dirac_); rows behind them stay.
void dirac(const Tensor& weight);

// The initialisations that layers' options can name: "pytorch" (what PyTorch gives a layer: Kaiming uniform, leaky slope
// sqrt(5)), "kaiming_normal", "kaiming_normal_fan_out", "kaiming_uniform", "xavier_normal", "xavier_uniform", "zeros", "dirac"
// (the rows that dirac() leaves are as "pytorch" has them).
const std::vector<std::string>& names();
inline config::Rule one_of_names() { return {config::Rule::Kind::one_of, 0, {names().begin(), names().end()}}; }
void weight(const Tensor& weight, const std::string& name);
// PyTorch's bias: uniform in +- 1 / sqrt(fan_in) of the weight.
void bias(const Tensor& bias, const Shape& weight);

}  // namespace az::nn::init
