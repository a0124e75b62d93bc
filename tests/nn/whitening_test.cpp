#include "nn/layers/whitening.h"

#include <doctest/doctest.h>

#include <cmath>

#include "core/base/random.h"
#include "core/ops/elementwise.h"
#include "core/ops/shape.h"
#include "core/tensor/create.h"
#include "nn/layers/activations.h"
#include "nn/layers/scale.h"
#include "nn/layers/sequential.h"

using namespace az;

namespace {

// Neighbouring pixels and channels depend on one another, and nothing has mean 0 or variance 1.
Tensor smooth_images(int64_t count) {
  seed_random(11);
  Tensor noise = randn({count, 3, 9, 8});
  Tensor shifted = slice(noise, {.axis = 3, .begin = 1}), grey = slice(noise, {.axis = 1, .begin = 0, .end = 1});
  return slice(noise, {.axis = 3, .end = 7}) * 2.0 + shifted + slice(grey, {.axis = 3, .end = 7}) * 0.7 + 1.5;
}

// Mean and covariance of the channels of [n,c,h,w], over everything else.
struct Moments {
  std::vector<double> mean, covariance;
};
Moments moments(const Tensor& x) {
  const auto c = size_t(x.size(1));
  const auto rows = permute(x, {0, 2, 3, 1}).to_vector<double>();
  const double count = double(rows.size() / c);
  Moments m{std::vector<double>(c), std::vector<double>(c * c)};
  for (size_t r = 0; r < rows.size(); r += c) {
    for (size_t i = 0; i < c; ++i) m.mean[i] += rows[r + i] / count;
  }
  for (size_t r = 0; r < rows.size(); r += c) {
    for (size_t i = 0; i < c * c; ++i)
      m.covariance[i] += (rows[r + i / c] - m.mean[i / c]) * (rows[r + i % c] - m.mean[i % c]) / count;
  }
  return m;
}

void check_white(const Tensor& y) {
  const int64_t d = y.size(1) / 2;
  const Moments m = moments(slice(y, {.axis = 1, .end = d}));
  for (int64_t i = 0; i < d; ++i) {
    CHECK(std::abs(m.mean[size_t(i)]) < 1e-4);
    for (int64_t j = 0; j < d; ++j) CHECK(std::abs(m.covariance[size_t(i * d + j)] - (i == j)) < 1e-4);
  }
}

}  // namespace

TEST_CASE("patches of the images it was initialised from come out white, and again with the other sign") {
  Tensor x = smooth_images(40);
  for (int64_t kernel : {1, 2}) {
    CAPTURE(kernel);
    nn::Whitening layer(3, {.kernel = kernel, .eps = 1e-9});
    layer.initialize_from(x);
    const int64_t d = 3 * kernel * kernel;
    Tensor y = layer(x);
    CHECK(y.shape() == Shape{40, 2 * d, 10 - kernel, 8 - kernel});
    check_white(y);
    const auto plus = slice(y, {.axis = 1, .end = d}).to_vector<double>(),
               minus = slice(y, {.axis = 1, .begin = d}).to_vector<double>();
    double sum = 0;
    for (size_t i = 0; i < plus.size(); ++i) sum = std::max(sum, std::abs(plus[i] + minus[i]));
    CHECK(sum < 1e-4);
    // 1 / sqrt(eigenvalue) is the length of a row: the directions that vary most come first.
    const auto weight = layer.state().at("weight").to_vector<double>();
    double before = 0;
    for (int64_t i = 0; i < d; ++i) {
      double length = 0;
      for (int64_t j = 0; j < d; ++j) length += std::pow(weight[size_t(i * d + j)], 2);
      CHECK(length > before);
      before = length;
    }
  }
}

TEST_CASE("eps bounds what a direction without variance is scaled by") {
  nn::Whitening layer(1, {.kernel = 2, .eps = 0.25});
  layer.initialize_from(ones({3, 1, 4, 4}));
  for (double w : layer.state().at("weight").to_vector<double>()) CHECK(std::abs(w) <= 2);
  for (double y : layer(ones({3, 1, 4, 4})).to_vector<double>()) CHECK(std::abs(y) < 1e-5);
  nn::Whitening large(1, {.kernel = 4});
  CHECK_THROWS_WITH(large.initialize_from(ones({1, 1, 4, 4})),
                    "whitening: f32 [1,1,4,4] has 1 patches; a covariance needs two");
}

TEST_CASE("only the bias is trained, or nothing") {
  CHECK(nn::Whitening(3).parameters().size() == 1);
  CHECK(nn::Whitening(3, {.train_bias = false}).parameters().empty());
  CHECK(nn::Whitening(3).state().size() == nn::Whitening(3, {.train_bias = false}).state().size());
}

TEST_CASE("layers deep in a network are initialised from what reaches them, once, in the order they run") {
  Tensor x = smooth_images(40);
  nn::Sequential net(nn::Scale({.factor = 0.5}), nn::Sequential(nn::Whitening(3, {.eps = 1e-9}), nn::Tanh()),
                     nn::Whitening(24, {.kernel = 1, .eps = 1e-9}));
  net.train();
  net.module("1.1").eval();
  int asked = 0;
  nn::initialize_from_data(net, [&] { return ++asked, x; });
  CHECK(asked == 1);
  CHECK(net.training());
  CHECK_FALSE(net.module("1.1").training());
  check_white(net.module("1.0")(x * 0.5));
  // tanh of +-z has the same numbers twice: half of the directions behind it have no variance.
  const Moments m = moments(slice(net(x).detach(), {.axis = 1, .end = 12}));
  for (size_t i = 0; i < 12; ++i) CHECK(m.covariance[i * 12 + i] == doctest::Approx(1).epsilon(1e-3));
}

TEST_CASE("a network without such layers is not run, and the images not asked for") {
  nn::Sequential net{nn::Tanh()};
  nn::initialize_from_data(net, []() -> Tensor { throw Error("asked"); });
}
