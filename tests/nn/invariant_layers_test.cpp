#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "core/autograd/autograd.h"
#include "core/backend/info.h"
#include "core/base/random.h"
#include "core/config/json_document.h"
#include "core/ops/elementwise.h"
#include "core/ops/matmul.h"
#include "core/ops/reduce.h"
#include "core/tensor/create.h"
#include "nn/builtin.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/cosine_linear.h"
#include "nn/layers/linear.h"
#include "nn/layers/weight_norm.h"
#include "nn/lent_parameter.h"
#include "tests/compare.h"

using namespace az;
using Names = std::vector<std::string>;
using Vector = std::vector<double>;

namespace {

void set(const nn::Module& module, const std::string& name, const std::vector<float>& values) {
  NoGrad no_grad;
  const Tensor tensor = module.state().at(name);
  tensor.copy_(Tensor::of<float>(tensor.shape(), values));
}

Names names_of(const nn::Module& module) {
  Names names;
  for (const Parameter& parameter : module.parameters()) names.push_back(parameter.name);
  return names;
}

}  // namespace

TEST_CASE("weight norm: w = g v / ||v|| row by row, by hand") {
  nn::WeightNorm layer(std::make_unique<nn::Linear>(2, nn::LinearOptions{.out_features = 2}));
  CHECK(names_of(layer) == Names{"weight_g", "weight_v", "layer.bias"});
  CHECK(layer.parameters()[0].kind == ParameterKind::norm);
  CHECK(layer.parameters()[0].tensor.shape() == Shape{2, 1});
  set(layer, "weight_v", {3, 4, 0, 2});
  set(layer, "weight_g", {10, -1});
  set(layer, "layer.bias", {0.5, 0});
  const Tensor x = Tensor::of<float>({1, 2}, {1, 2});
  CHECK(test::distance(layer(x), Tensor::of<float>({1, 2}, {6 + 16 + 0.5, -2})) < 1e-6);
  // dL/dg = <dL/dw, v / ||v||>; dL/dv = g / ||v|| (dL/dw - v <dL/dw, v> / ||v||^2), dL/dw being x in each row.
  sum(layer(x)).backward();
  const auto parameters = layer.parameters();
  CHECK(test::distance(parameters[0].tensor.grad(), Tensor::of<float>({2, 1}, {11.0F / 5, 2})) < 1e-6);
  CHECK(test::distance(parameters[1].tensor.grad(),
                       Tensor::of<float>({2, 2}, {2 * (1 - 3 * 11.0F / 25), 2 * (2 - 4 * 11.0F / 25), -0.5, 0})) < 1e-6);
}

TEST_CASE("weight norm starts as the layer it wraps, and the length of v does not matter") {
  const auto conv = std::make_unique<nn::Conv2d>(3, nn::Conv2dOptions{.out_channels = 4, .padding = 1});
  const Tensor x = randn({2, 3, 5, 5}), y = (*conv)(x);
  nn::WeightNorm layer(conv->clone());
  CHECK(test::distance(layer(x), y) < 1e-6);
  CHECK(layer.parameters()[0].tensor.shape() == Shape{4, 1, 1, 1});
  {
    NoGrad no_grad;
    const Tensor v = layer.state().at("weight_v");
    v.copy_(v * 7.0);
  }
  CHECK(test::distance(layer(x), y) < 1e-6);
  CHECK(layer.module("layer").multiply_adds(x.shape(), y.shape()) == conv->multiply_adds(x.shape(), y.shape()));
}

TEST_CASE("weight norm of a frozen layer stays frozen, in copies and in other number types, too") {
  const auto trained = [](const nn::Module& module) {
    Names names;
    for (const Parameter& p : module.parameters()) {
      if (p.tensor.requires_grad()) names.push_back(p.name);
    }
    return names;
  };
  const auto wrapped = [](const char* frozen) {
    auto linear = std::make_unique<nn::Linear>(3, nn::LinearOptions{.out_features = 2});
    if (*frozen) linear->freeze(frozen);
    return nn::WeightNorm(std::move(linear));
  };
  CHECK(trained(wrapped("")) == Names{"weight_g", "weight_v", "layer.bias"});
  CHECK(trained(wrapped("bias")) == Names{"weight_g", "weight_v"});
  CHECK(trained(wrapped("weight")) == Names{"layer.bias"});
  nn::WeightNorm frozen = wrapped("*");
  const nn::ModulePtr copy = frozen.clone();
  copy->to(DType::f64);
  const nn::Module* const all[] = {&frozen, copy.get()};
  for (const nn::Module* module : all) CHECK(trained(*module).empty());
  CHECK_FALSE(frozen(randn({4, 3})).requires_grad());
}

TEST_CASE("weight norm keeps no graph alive, and a copy has a weight of its own") {
  nn::WeightNorm layer(std::make_unique<nn::Linear>(3, nn::LinearOptions{.out_features = 2}));
  const Tensor x = randn({4, 3});
  const size_t in_use = memory_stats().in_use;
  layer(x);
  CHECK(memory_stats().in_use == in_use);
  CHECK_THROWS_AS(layer(randn({4, 5})), Error);
  CHECK(memory_stats().in_use == in_use);
  nn::ModulePtr copy = layer.clone();
  const Vector y = layer(x).to_vector<double>();
  set(*copy, "weight_g", {0, 0});
  (*copy)(x);
  CHECK(layer(x).to_vector<double>() == y);
}

TEST_CASE("weight norm: a row of zeros is refused at the start, and does no harm later") {
  nn::register_builtin_layers();
  const std::string json = R"({"type": "weight_norm", "layer": {"type": "linear", "out_features": 2, "init": "zeros"}})";
  const auto component = config::parse<config::Component<nn::LayerRegistry>>(config::parse_text(json, "net.json"));
  CHECK_THROWS_WITH(
      component.create(Shape{1, 3}),
      "net.json:1:1: weight_norm: a row of the weight of Linear(3 -> 2) is all zeros, which has no direction; start "
      "it otherwise than with init \"zeros\"");
  nn::WeightNorm layer(std::make_unique<nn::Linear>(2, nn::LinearOptions{.out_features = 2}));
  set(layer, "weight_v", {0, 0, 3, 4});
  set(layer, "weight_g", {1, 5});
  set(layer, "layer.bias", {0, 0});
  const Tensor y = layer(Tensor::of<float>({1, 2}, {1, 2}));
  CHECK(y.to_vector<double>() == Vector{0, 11});
  sum(y).backward();
  // The other row's: g / ||v|| (x - v <x, v> / ||v||^2), with g = 5, v = (3, 4) and x = (1, 2).
  const auto parameters = layer.parameters();
  CHECK(test::distance(parameters[0].tensor.grad(), Tensor::of<float>({2, 1}, {0, 2.2F})) < 1e-6);
  CHECK(test::distance(parameters[1].tensor.grad(), Tensor::of<float>({2, 2}, {0, 0, -0.32F, 0.24F})) < 1e-6);
  CHECK(parameters[1].tensor.grad().to_vector<double>()[0] == 0);
}

TEST_CASE("weight norm and cosine linear take bf16, with parameters in f32") {
  if (test::skipped_without_bf16()) return;
  nn::WeightNorm conv(std::make_unique<nn::Conv2d>(16, nn::Conv2dOptions{.out_channels = 16, .padding = 1}));
  nn::CosineLinear cosines(16, {.out_features = 5});
  const auto check = [](nn::Module& layer, const Tensor& x, DType type) {
    const Tensor half = x.to(DType::bf16), found = layer(half), wanted = layer(half.to(DType::f32));
    CHECK(found.dtype() == type);
    CHECK(test::distance(found, wanted) < 1e-2);
    const auto gradients = [&](const Tensor& y) {
      std::vector<Tensor> all;
      for (const Parameter& parameter : layer.parameters()) parameter.tensor.zero_grad();
      sum(y.to(DType::f32) * wanted.detach()).backward();
      for (const Parameter& parameter : layer.parameters()) all.push_back(parameter.tensor.grad());
      return all;
    };
    const auto one = gradients(found), other = gradients(wanted);
    for (size_t i = 0; i < other.size(); ++i) {
      CAPTURE(i);
      CHECK(one[i].dtype() == DType::f32);
      CHECK(test::distance(one[i], other[i]) < 2e-2);
    }
  };
  check(conv, randn({2, 16, 6, 6}), DType::bf16);
  check(cosines, randn({3, 16}), DType::f32);
}

TEST_CASE("a parameter is lent to its layer on one thread, for as long as the loan lives") {
  seed_random(3);
  nn::Linear layer(40, {.out_features = 30, .bias = false});
  layer.eval();
  CHECK_THROWS_WITH_AS(static_cast<void>(nn::LentParameter(layer, "weight", randn({30, 40}))),
                       "Linear: the parameter \"weight\" was not taken, so none can be lent", Error);
  const auto before = nn::LentParameter::take(layer, "weight").to_vector<float>();
  CHECK(layer.parameters().empty());
  const Tensor x = randn({8, 40});
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      NoGrad no_grad;
      const Tensor own = full({30, 40}, i), inner = full({30, 40}, -1 - i);
      const auto row = sum(x, {{1}}).to_vector<double>();
      const auto is = [&](double factor) {
        const auto y = layer(x).to_vector<double>();
        for (size_t k = 0; k < y.size(); ++k) wrong += std::abs(y[k] - factor * row[k / 30]) > 1e-4;
      };
      for (int call = 0; call < 50; ++call) {
        const nn::LentParameter lent(layer, "weight", own);
        is(i);
        {
          const nn::LentParameter another(layer, "weight", inner);
          is(-1 - i);
        }
        is(i);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(nn::LentParameter::find(layer, "weight") == nullptr);
  CHECK(layer(x).to_vector<float>() == linear(x, Tensor::of<float>({30, 40}, before), {}).to_vector<float>());
}

TEST_CASE("weight norm: a call that throws lends nothing any longer") {
  nn::WeightNorm layer(std::make_unique<nn::Linear>(40, nn::LinearOptions{.out_features = 30}));
  CHECK_THROWS_AS(layer(randn({8, 3})), Error);
  CHECK(nn::LentParameter::find(layer.module("layer"), "weight") == nullptr);
}

TEST_CASE("weight norm of a layer without a weight is refused at its place") {
  nn::register_builtin_layers();
  const auto text = config::parse_text(R"({"type": "weight_norm", "layer": {"type": "relu"}})", "net.json");
  const auto component = config::parse<config::Component<nn::LayerRegistry>>(text);
  CHECK_THROWS_WITH(component.create(Shape{1, 3}),
                    "net.json:1:1: weight_norm: ReLU has no weight of two or more dimensions; wrap a conv2d or linear layer");
}

TEST_CASE("cosine linear: the scaled cosine with each row, by hand, and zeros give zeros") {
  nn::CosineLinear layer(2, {.out_features = 2});
  set(layer, "weight", {3, 4, -8, -6});
  const Tensor x = Tensor::of<float>({2, 2}, {4, 3, 0, 0});
  CHECK(test::distance(layer(x), Tensor::of<float>({2, 2}, {9.6, -10, 0, 0})) < 1e-6);
  nn::CosineLinear by_three(2, {.out_features = 2, .scale = 3});
  set(by_three, "weight", {3, 4, -8, -6});
  CHECK(test::distance(by_three(x), Tensor::of<float>({2, 2}, {2.88F, -3, 0, 0})) < 1e-6);
  CHECK(names_of(layer) == Names{"weight", "scale"});
  CHECK(names_of(nn::CosineLinear(2, {.out_features = 2, .train_scale = false})) == Names{"weight"});
  sum(layer(x)).backward();
  const Tensor weight = layer.parameters()[0].tensor;
  for (double dot : sum(weight * weight.grad(), {.axes = {1}}).to_vector<double>()) CHECK(std::abs(dot) < 1e-5);
  CHECK(layer.parameters()[1].tensor.grad().item() == doctest::Approx(0.96 - 1));
}

TEST_CASE("cosine linear: a row of zeros is refused at the start, and does no harm later") {
  nn::register_builtin_layers();
  const std::string json = R"({"type": "cosine_linear", "out_features": 2, "init": "zeros"})";
  const auto component = config::parse<config::Component<nn::LayerRegistry>>(config::parse_text(json, "net.json"));
  CHECK_THROWS_WITH(component.create(Shape{1, 3}),
                    "net.json:1:1: CosineLinear: a row of the weight is all zeros, which has no direction; start it otherwise "
                    "than with init \"zeros\"");
  nn::CosineLinear layer(2, {.out_features = 2});
  set(layer, "weight", {0, 0, 3, 4});
  const Tensor x = Tensor::of<float>({2, 2}, {4, 3, 0, 0}).set_requires_grad();
  const Tensor y = layer(x);
  CHECK(test::distance(y, Tensor::of<float>({2, 2}, {0, 9.6F, 0, 0})) < 1e-6);
  sum(y).backward();
  // The other row's: scale / ||w|| (u - w <w, u> / ||w||^2), with u = x / ||x||; that of x likewise.
  const Vector by_weight = layer.parameters()[0].tensor.grad().to_vector<double>(), by_x = x.grad().to_vector<double>();
  CHECK(by_weight[0] == 0);
  CHECK(by_weight[1] == 0);
  CHECK(by_weight[2] == doctest::Approx(10.0 / 5 * (0.8 - 0.6 * 0.96)));
  CHECK(by_x[0] == doctest::Approx(10.0 / 5 * (0.6 - 0.8 * 0.96)));
  CHECK(by_x[2] == 0);
  CHECK(by_x[3] == 0);
}
