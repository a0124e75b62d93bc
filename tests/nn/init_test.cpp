#include "nn/init.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "core/base/random.h"
#include "core/tensor/create.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/linear.h"

using namespace az;
namespace init = az::nn::init;

namespace {

struct Statistics {
  double mean = 0, std = 0, largest = 0;
};

Statistics statistics(const Tensor& tensor) {
  Statistics s;
  auto values = tensor.to_vector<double>();
  for (double v : values) s.mean += v / double(values.size()), s.largest = std::max(s.largest, std::abs(v));
  for (double v : values) s.std += (v - s.mean) * (v - s.mean) / double(values.size());
  s.std = std::sqrt(s.std);
  return s;
}

// Relative; doctest::Approx adds an absolute share of its epsilon, too much for small numbers.
double off(double value, double expected) { return std::abs(value / expected - 1); }

// 64 * 48 * 9 = 27648 draws: the sample's std is within 2 % of the true one (4.7 sigma), its mean within 3 % of std.
const Shape shape{64, 48, 3, 3};

void check_normal(const char* name, double std) {
  INFO(name);
  seed_random(7);
  Tensor w = Tensor::empty(shape);
  init::weight(w, name);
  Statistics s = statistics(w);
  CHECK(off(s.std, std) < 0.02);
  CHECK(std::abs(s.mean) < 0.03 * std);
  CHECK(s.largest > 3 * std);
}

void check_uniform(const char* name, double bound) {
  INFO(name);
  seed_random(7);
  Tensor w = Tensor::empty(shape);
  init::weight(w, name);
  Statistics s = statistics(w);
  CHECK(s.largest <= bound);
  CHECK(s.largest > 0.999 * bound);
  CHECK(off(s.std, bound / std::sqrt(3.0)) < 0.02);
  CHECK(std::abs(s.mean) < 0.03 * bound);
}

}  // namespace

TEST_CASE("dirac passes the first channels on, and leaves the others as PyTorch starts them") {
  for (auto [out, in, kernel] : {std::tuple{5, 3, 3}, std::tuple{2, 4, 3}, std::tuple{3, 3, 1}}) {
    CAPTURE(out);
    seed_random(4);
    nn::Conv2d conv(in, {.out_channels = out, .kernel = kernel, .padding = kernel / 2, .bias = false, .init = "dirac"});
    seed_random(4);
    nn::Conv2d pytorch(in, {.out_channels = out, .kernel = kernel, .padding = kernel / 2, .bias = false});
    Tensor x = randn({2, in, 4, 5});
    auto y = conv(x).to_vector<double>(), expected = x.to_vector<double>(), free = pytorch(x).to_vector<double>();
    for (int64_t image = 0; image < 2; ++image) {
      for (int64_t channel = 0; channel < out; ++channel) {
        for (int64_t p = 0; p < 20; ++p) {
          const auto at = size_t((image * out + channel) * 20 + p);
          CHECK(y[at] == doctest::Approx(channel < in ? expected[size_t((image * in + channel) * 20 + p)] : free[at]));
        }
      }
    }
  }
}

TEST_CASE("fans count inputs and outputs of a weight, as PyTorch's _calculate_fan_in_and_fan_out") {
  init::Fans conv = init::fans(shape), linear = init::fans({10, 64});
  CHECK(conv.in == 432);
  CHECK(conv.out == 576);
  CHECK(linear.in == 64);
  CHECK(linear.out == 10);
  CHECK_THROWS_WITH(init::fans({5}), "init: a weight has at least two axes (got [5])");
}

TEST_CASE("initialisers have PyTorch's spread") {
  check_normal("kaiming_normal", std::sqrt(2.0 / 432));
  check_normal("kaiming_normal_fan_out", std::sqrt(2.0 / 576));
  check_uniform("kaiming_uniform", std::sqrt(6.0 / 432));
  check_uniform("pytorch", 1 / std::sqrt(432.0));
  check_normal("xavier_normal", std::sqrt(2.0 / (432 + 576)));
  check_uniform("xavier_uniform", std::sqrt(6.0 / (432 + 576)));
  Tensor w = ones(shape);
  init::weight(w, "zeros");
  CHECK(statistics(w).largest == 0);
  CHECK_THROWS_AS(init::weight(w, "kaimin"), ConfigError);
  init::normal(w, {.mean = 5, .std = 0.1});
  CHECK(off(statistics(w).mean, 5) < 0.001);
  CHECK(off(statistics(w).std, 0.1) < 0.02);
  CHECK(init::leaky_relu_gain(0) == init::relu_gain());
  for (const std::string& name : init::names()) CHECK_NOTHROW(init::weight(w, name));
}

TEST_CASE("layers start as PyTorch's: Kaiming uniform with slope sqrt(5), biases in +- 1/sqrt(fan_in)") {
  seed_random(3);
  nn::Linear linear(100, {.out_features = 500});
  nn::Conv2d conv(16, {.out_channels = 400, .groups = 2});
  for (auto& p : linear.parameters()) CHECK(off(statistics(p.tensor).largest, 0.1) < 0.01);
  for (auto& p : conv.parameters()) CHECK(off(statistics(p.tensor).largest, 1 / std::sqrt(72.0)) < 0.01);
}

TEST_CASE("the seed decides every draw, and no two tensors share one") {
  seed_random(11);
  nn::Linear a(8, {.out_features = 8}), b(8, {.out_features = 8});
  seed_random(11);
  nn::Linear again(8, {.out_features = 8});
  auto weight = [](nn::Linear& layer) { return layer.parameters()[0].tensor.to_vector<double>(); };
  CHECK(weight(a) == weight(again));
  CHECK(weight(a) != weight(b));
}
