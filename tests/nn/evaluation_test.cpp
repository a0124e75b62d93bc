// Evaluation, where batch norms are folded into convolutions, against the same layers one by one.
#include <doctest/doctest.h>

#include "core/autograd/autograd.h"
#include "core/base/profile.h"
#include "core/base/random.h"
#include "core/config/json_document.h"
#include "core/ops.h"
#include "nn/builtin.h"
#include "nn/layers/activations.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/residual.h"
#include "nn/models/resnet.h"
#include "tests/compare.h"

using namespace az;

namespace {

nn::ModulePtr network(const std::string& layers) {
  nn::register_builtin_models();
  return config::parse<config::Component<nn::ModelRegistry>>(
             config::parse_text("{\"type\": \"network\", \"layers\": [" + layers + "]}", "net.json"), "model")
      .create(Shape{1, 3, 16, 16}, int64_t(10));
}

const std::string head = R"(, {"type": "global_avg_pool"}, {"type": "linear", "out_features": 10})";

std::vector<nn::ModulePtr> networks() {
  std::vector<nn::ModulePtr> all;
  all.push_back(models::cifar_resnet({.depth = 20, .shortcut = "A"}));
  all.push_back(models::cifar_resnet({.depth = 20, .shortcut = "B", .width = 8}));
  all.push_back(models::resnet({.depth = 18, .width = 16}));
  all.push_back(models::resnet({.depth = 50, .stem = "imagenet", .width = 8}));
  for (const char* conv : {"", R"(, "bias": false)"}) {
    for (const char* norm : {"", R"(, "affine": false)", R"(, "scale": false)", R"(, "eps": 0.1)"}) {
      const std::string pair =
          fmt::format(R"({{"type": "conv2d", "out_channels": 16, "padding": 1{}}}, {{"type": "batch_norm"{}}})", conv, norm);
      all.push_back(network(pair + R"(, {"type": "relu"}, )" + pair + R"(, {"type": "residual", "body": [)" + pair +
                            R"(]}, {"type": "residual", "activation": "none", "body": [)" + pair + R"(], "shortcut": [)" +
                            pair + "]}" + head));
    }
  }
  return all;
}

// The input of every module, and what it was seen in.
struct Seen : nn::Observer {
  std::vector<std::string> modules;
  void after(const nn::Module& m, const Tensor& x, const Tensor& y) override {
    modules.push_back(m.path() + " " + x.shape().str() + " " + y.shape().str());
  }
};

// Where no batch norm runs by itself.
Tensor folded(nn::Module& net, const Tensor& x) {
  NoGrad no_grad;
  const Profile profile;
  Tensor y = net(x);
  for (const Profile::Entry& entry : profile.entries()) {
    CAPTURE(entry.scope);
    CHECK(entry.op.find("batch_norm") == std::string::npos);
  }
  return y;
}

// Away from where they started, statistics included.
void stir(nn::Module& net) {
  NoGrad no_grad;
  for (const Parameter& p : net.parameters()) p.tensor.add_(randn(p.tensor.shape()), 0.1);
  net(randn({8, 3, 16, 16}));
}

}  // namespace

TEST_CASE("evaluation: folded networks give what their layers give one by one, before and after their statistics change") {
  seed_random(3);
  for (const nn::ModulePtr& net : networks()) {
    const Tensor x = randn({4, 3, 16, 16});
    for (int round = 0; round < 2; ++round) {
      net->train();
      stir(*net);
      net->eval();
      Seen one, other;
      Tensor apart, together;
      {
        nn::Observe observe(one);
        apart = (*net)(x);
      }
      {
        NoGrad no_grad;
        nn::Observe observe(other);
        together = (*net)(x);
      }
      INFO(net->str());
      CHECK(together.to_vector<float>() == folded(*net, x).to_vector<float>());  // as if nobody had watched
      CHECK(apart.requires_grad());
      CHECK(test::distance(together, apart) < 1e-5);
      CHECK(other.modules == one.modules);
      CHECK(test::distance(folded(*net->clone(), x), apart) < 1e-5);
    }
  }
}

TEST_CASE("evaluation: gradients are those of the layers one by one, in the mode of evaluation") {
  seed_random(4);
  auto gradient = [](nn::Module& net, const Tensor& x) {
    const Tensor in = x.clone().set_requires_grad();
    sum(net(in) * net(in)).backward();
    return in.grad();
  };
  const nn::ModulePtr net = models::cifar_resnet({.depth = 20, .width = 8});
  stir(*net);
  net->eval();
  const Tensor x = randn({2, 3, 16, 16});
  const Tensor before = gradient(*net, x);
  folded(*net, x);
  CHECK(gradient(*net, x).to_vector<float>() == before.to_vector<float>());
  const nn::ModulePtr exact = net->clone();
  exact->to(DType::f64);
  CHECK(test::distance(before, gradient(*exact, x.to(DType::f64))) < 1e-4);
}

TEST_CASE("evaluation: bf16 images go through folded layers with f32 weights") {
  if (test::skipped_without_bf16()) return;
  seed_random(5);
  nn::Sequential net(nn::Conv2d(3, {.out_channels = 16, .padding = 1}), nn::BatchNorm2d(16), nn::ReLU(),
                     nn::Conv2d(16, {.out_channels = 16, .padding = 1, .bias = false}), nn::BatchNorm2d(16, {.affine = false}));
  stir(net);
  net.eval();
  const Tensor x = randn({4, 3, 16, 16}), y = folded(net, x.to(DType::bf16));
  CHECK(y.dtype() == DType::bf16);
  CHECK(test::distance(y, folded(net, x)) < 1e-2);
}

namespace {

struct DoubledNorm : nn::Layer<DoubledNorm, nn::BatchNorm2d> {
  using Layer::Layer;
  Tensor forward(const Tensor& x) override { return BatchNorm2d::forward(x) * 2.0; }
};
struct DoubledConv : nn::Layer<DoubledConv, nn::Conv2d> {
  using Layer::Layer;
  Tensor forward(const Tensor& x) override { return Conv2d::forward(x) * 2.0; }
};
struct ShiftedReLU : nn::Layer<ShiftedReLU, nn::ReLU> {
  Tensor forward(const Tensor& x) override { return ReLU::forward(x) + 1.0; }
};

}  // namespace

TEST_CASE("a layer derived from one that is run together with others keeps a forward of its own") {
  seed_random(6);
  const Tensor x = randn({4, 8, 5, 5});
  for (bool training : {true, false}) {
    auto check = [&](nn::Sequential net) {
      net.train(training);
      NoGrad no_grad;
      Tensor wanted = x;
      const nn::ModulePtr copy = net.clone();
      for (size_t i = 0; i < 3; ++i) wanted = copy->module(std::to_string(i))(wanted);
      CHECK(test::distance(net(x), wanted) < 1e-6);
    };
    const nn::Conv2dOptions conv{.out_channels = 8, .padding = 1};
    check(nn::Sequential(nn::Conv2d(8, conv), DoubledNorm(8), nn::ReLU()));
    check(nn::Sequential(DoubledConv(8, conv), nn::BatchNorm2d(8), nn::ReLU()));
    check(nn::Sequential(nn::Conv2d(8, conv), nn::BatchNorm2d(8), ShiftedReLU()));
    nn::Residual residual(nn::Sequential(nn::Conv2d(8, conv), DoubledNorm(8)));
    residual.train(training);
    const nn::ModulePtr copy = residual.clone();
    CHECK(test::distance(residual(x), add_relu(copy->module("body.1")(copy->module("body.0")(x)), x)) < 1e-6);
  }
}

TEST_CASE("residual: what the ops give apart, whatever comes last in its body") {
  seed_random(7);
  const Tensor x = randn({4, 8, 5, 5});
  const nn::Conv2dOptions conv{.out_channels = 8, .padding = 1};
  for (bool with_relu : {false, true}) {
    for (bool training : {true, false}) {
      auto check = [&](nn::Sequential body) {
        nn::Residual layer(std::move(body), nn::Sequential(), with_relu);
        layer(x * 2.0 + 1.0);
        layer.train(training);
        const nn::ModulePtr copy = layer.clone();
        const Tensor sum = copy->module("body")(x) + x, wanted = with_relu ? relu(sum) : sum;
        CHECK(test::distance(layer(x), wanted) < 1e-6);
        NoGrad no_grad;
        if (!training) CHECK(test::distance(layer(x), wanted) < 1e-6);
      };
      check(nn::Sequential());
      check(nn::Sequential(nn::Conv2d(8, conv)));
      check(nn::Sequential(nn::Conv2d(8, conv), nn::BatchNorm2d(8)));
      check(nn::Sequential(nn::BatchNorm2d(8), nn::ReLU{}));
      check(nn::Sequential(nn::ReLU{}, nn::BatchNorm2d(8)));
    }
  }
}

TEST_CASE("a norm that does not fit the convolution before it is told of at its place, in training and in evaluation") {
  nn::Sequential net(nn::Conv2d(3, {.out_channels = 16}), nn::BatchNorm2d(32));
  for (bool training : {true, false}) {
    net.train(training);
    NoGrad no_grad;
    CHECK_THROWS_WITH_AS(net(randn({2, 3, 5, 5})),
                         "1: batch_norm: input [2,16,3,3] has 16 channels, a parameter or statistic is [32]", Error);
  }
}
