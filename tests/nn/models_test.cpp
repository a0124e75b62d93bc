#include <doctest/doctest.h>

#include <cmath>

#include "core/autograd/autograd.h"
#include "core/base/random.h"
#include "core/ops/loss.h"
#include "core/tensor/create.h"
#include "nn/layers/batch_norm.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/cosine_linear.h"
#include "nn/layers/dropout.h"
#include "nn/layers/group_norm.h"
#include "nn/layers/layer_norm.h"
#include "nn/layers/linear.h"
#include "nn/layers/pooling.h"
#include "nn/layers/whitening.h"
#include "nn/models/resnet.h"
#include "nn/summary.h"
#include "tests/compare.h"

using namespace az;
using models::cifar_resnet;
using models::resnet;
using test::error_of;

TEST_CASE("CIFAR ResNets have the published numbers of parameters and multiply-adds") {
  // Option A: He et al. table 6 (0.27M 0.46M 0.66M 0.85M 1.7M), exact numbers as counted for akamaster/pytorch_resnet_cifar10.
  CHECK(cifar_resnet({.depth = 20, .shortcut = "A"})->parameter_count() == 269722);
  CHECK(cifar_resnet({.depth = 32, .shortcut = "A"})->parameter_count() == 464154);
  CHECK(cifar_resnet({.depth = 44, .shortcut = "A"})->parameter_count() == 658586);
  CHECK(cifar_resnet({.depth = 56, .shortcut = "A"})->parameter_count() == 853018);
  CHECK(cifar_resnet({.depth = 110, .shortcut = "A"})->parameter_count() == 1727962);
  // Option B adds two convolutions (16*32 + 32*64) and their batch norms (2*32 + 2*64).
  auto net = cifar_resnet({.depth = 20, .shortcut = "B"});
  CHECK(net->parameter_count() == 269722 + 2560 + 192);
  CHECK(nn::summarize(*net, {1, 3, 32, 32}).multiply_adds == 40813184);  // 40.81 M
}

TEST_CASE("ResNets have torchvision's numbers of parameters and multiply-adds") {
  struct Row {
    int64_t depth, parameters;
    double giga;
  };
  const Shape image{1, 3, 224, 224};
  for (const Row& row : {Row{18, 11689512, 1.814}, Row{34, 21797672, 3.664}, Row{50, 25557032, 4.089}}) {
    auto net = resnet({.depth = row.depth, .stem = "imagenet"}, image, 1000);
    CHECK(net->parameter_count() == row.parameters);
    CHECK(std::abs(double(nn::summarize(*net, image).multiply_adds) / 1e9 - row.giga) < 5e-4);
  }
  // The CIFAR stem has 3x3 instead of 7x7: 64 * 3 * 40 weights fewer.
  CHECK(resnet({.depth = 18, .num_classes = 1000})->parameter_count() == 11689512 - 7680);
}

TEST_CASE("parameters and buffers have torchvision's names, in its order") {
  auto net = resnet({.depth = 18, .width = 4});
  std::vector<std::string> names;
  for (const Parameter& p : net->parameters()) names.push_back(p.name);
  CHECK(names.size() == 62);
  const std::vector<std::string> start{"conv1.weight", "bn1.weight", "bn1.bias", "layer1.0.conv1.weight",
                                       "layer1.0.bn1.weight"};
  CHECK(std::vector<std::string>(names.begin(), names.begin() + 5) == start);
  CHECK(std::vector<std::string>(names.begin() + 15, names.begin() + 24) ==
        std::vector<std::string>{"layer2.0.conv1.weight", "layer2.0.bn1.weight", "layer2.0.bn1.bias", "layer2.0.conv2.weight",
                                 "layer2.0.bn2.weight", "layer2.0.bn2.bias", "layer2.0.downsample.0.weight",
                                 "layer2.0.downsample.1.weight", "layer2.0.downsample.1.bias"});
  CHECK(names[61] == "fc.bias");
  CHECK(net->state().contains("layer4.1.bn2.running_var"));
  auto deep = resnet({.depth = 50, .width = 4})->state();
  for (const char* name :
       {"layer1.0.conv3.weight", "layer1.0.bn3.running_mean", "layer1.0.downsample.0.weight", "layer3.5.bn3.bias"}) {
    CHECK(deep.contains(name));
  }
  CHECK(deep.size() == 161 + 2 * 53);  // torchvision's resnet50: 161 parameters, 53 batch norms
  for (auto& [name, tensor] : cifar_resnet({.shortcut = "A"})->state()) CHECK(name.find("downsample") == std::string::npos);
}

TEST_CASE("images of every size and channel count give logits, and every parameter gets a gradient") {
  seed_random(1);
  struct Case {
    nn::ModulePtr net;
    Shape images;
    int64_t classes;
  };
  std::vector<Case> cases;
  cases.push_back({cifar_resnet({.shortcut = "A", .width = 4}, {1, 1, 28, 28}, 7), {2, 1, 28, 28}, 7});
  cases.push_back({cifar_resnet({.shortcut = "B", .width = 5, .num_classes = 3}), {2, 3, 17, 32}, 3});
  cases.push_back({resnet({.depth = 34, .width = 4}), {2, 3, 16, 16}, 10});
  cases.push_back({resnet({.depth = 50, .stem = "imagenet", .width = 2}, {1, 3, 64, 64}, 5), {2, 3, 64, 64}, 5});
  for (Case& c : cases) {
    Tensor logits = (*c.net)(randn(c.images));
    CHECK(logits.shape() == Shape{c.images[0], c.classes});
    cross_entropy(logits, Tensor::of<int64_t>({2}, {0, 1})).backward();
    for (const Parameter& p : c.net->parameters()) {
      INFO(p.name);
      REQUIRE(p.tensor.grad().defined());
      CHECK(p.tensor.grad().shape() == p.tensor.shape());
    }
  }
}

TEST_CASE("zero_init_last_gamma makes each block its shortcut") {
  auto zeroed = [](const nn::ModulePtr& net) {
    std::vector<std::string> names;
    for (const Parameter& p : net->parameters()) {
      bool gamma = p.kind == ParameterKind::norm && p.name.ends_with(".weight");
      if (gamma && p.tensor.to_vector<double>()[0] == 0) names.push_back(p.name);
    }
    return names;
  };
  CHECK(zeroed(cifar_resnet({.width = 4})).empty());
  auto basic = zeroed(cifar_resnet({.width = 4, .zero_init_last_gamma = true}));
  CHECK(basic.size() == 9);
  CHECK(basic[0] == "layer1.0.bn2.weight");
  auto bottleneck = zeroed(resnet({.depth = 50, .width = 4, .zero_init_last_gamma = true}));
  CHECK(bottleneck.size() == 16);
  CHECK(bottleneck[0] == "layer1.0.bn3.weight");
  auto net = cifar_resnet({.width = 4, .zero_init_last_gamma = true});
  net->eval();
  NoGrad no_grad;
  Tensor x = uniform({1, 4, 8, 8}, {.low = 0, .high = 1});
  CHECK(net->module("layer1.0")(x).to_vector<float>() == x.to_vector<float>());
}

namespace {

// Relative; doctest::Approx adds an absolute share of its epsilon, too much for small numbers.
double off(double value, double expected) { return std::abs(value / expected - 1); }

}  // namespace

TEST_CASE("convolutions and fc start as documented") {
  seed_random(2);
  auto spread = [](nn::Module& net, const char* name) {
    double square = 0;
    auto values = net.state().at(name).to_vector<double>();
    for (double v : values) square += v * v / double(values.size());
    return std::sqrt(square);
  };
  auto cifar = cifar_resnet(), imagenet = resnet({.depth = 18});
  CHECK(off(spread(*cifar, "layer3.0.conv1.weight"), std::sqrt(2.0 / (32 * 9))) < 0.03);
  CHECK(off(spread(*cifar, "fc.weight"), std::sqrt(2.0 / 64)) < 0.1);
  CHECK(off(spread(*imagenet, "layer3.0.conv1.weight"), std::sqrt(2.0 / (256 * 9))) < 0.02);
  CHECK(off(spread(*imagenet, "fc.weight"), 1 / std::sqrt(3.0 * 512)) < 0.05);
}

TEST_CASE("unknown depths are refused with the known ones") {
  CHECK_THROWS_WITH_AS(cifar_resnet({.depth = 21}),
                       doctest::Contains("cifar_resnet.depth: must be one of 20, 32, 44, 56, 110, got 21"), ConfigError);
  CHECK_THROWS_WITH_AS(resnet({.depth = 101}), doctest::Contains("resnet.depth: must be one of 18, 34, 50, got 101"),
                       ConfigError);
}

TEST_CASE("layers take from C++ no options that they would not take from JSON") {
  CHECK(error_of([] { nn::BatchNorm2d(4, {.eps = 0}); }) == "batch_norm.eps: must be more than 0, got 0.0");
  CHECK(error_of([] { nn::BatchNorm1d(4, {.momentum = 1.5}); }) == "batch_norm.momentum: must be at most 1, got 1.5");
  CHECK(error_of([] { nn::Conv2d(3, {.out_channels = 8, .stride = 0}); }) == "conv2d.stride: must be at least 1, got 0");
  CHECK(error_of([] { nn::Conv2d(3, {.out_channels = 0}); }) == "conv2d.out_channels: must be at least 1, got 0");
  CHECK(error_of([] { nn::Conv2d(3, {.out_channels = 8, .init = "he"}); }).starts_with("conv2d.init: must be one of"));
  CHECK(error_of([] { nn::Linear(3, {.out_features = -1}); }) == "linear.out_features: must be at least 1, got -1");
  CHECK(error_of([] { nn::CosineLinear(3, {.out_features = 2, .scale = -1}); }) ==
        "cosine_linear.scale: must be more than 0, got -1.0");
  CHECK(error_of([] { nn::Dropout({.probability = 1}); }) == "dropout.probability: must be less than 1, got 1.0");
  CHECK(error_of([] { nn::GroupNorm(4, {.groups = 0}); }) == "group_norm.groups: must be at least 1, got 0");
  CHECK(error_of([] { nn::LayerNorm({4}, {.eps = NAN}); }).starts_with("layer_norm.eps: "));
  CHECK(error_of([] { nn::MaxPool2d({.kernel = 0}); }) == "max_pool2d.kernel: must be at least 1, got 0");
  CHECK(error_of([] { nn::AvgPool2d({.padding = -1}); }) == "avg_pool2d.padding: must be at least 0, got -1");
  CHECK(error_of([] { nn::Whitening(3, {.kernel = 0}); }) == "whitening.kernel: must be at least 1, got 0");
  CHECK(error_of([] {
          nn::BatchNorm2d(4, {.affine = false, .zero_gamma = true});
        }).starts_with("batch_norm: zero_gamma starts a scale at 0"));
}

TEST_CASE("a layer given what it cannot take says where it stands, with both shapes") {
  auto net = cifar_resnet({.depth = 20});
  std::string message;
  try {
    net->module("layer2.0.conv1")(zeros({8, 3, 32, 32}));
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK(message == "layer2.0.conv1: conv2d: input has 3 channels, weight expects 16 (input [8,3,32,32], weight [32,16,3,3])");
}
