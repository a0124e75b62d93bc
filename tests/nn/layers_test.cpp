// Every registered layer, built from JSON, put through all that modules do.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <tuple>

#include "core/autograd/autograd.h"
#include "core/autograd/gradcheck.h"
#include "core/base/random.h"
#include "core/config/json_document.h"
#include "core/ops/activations.h"
#include "core/ops/conv.h"
#include "core/ops/elementwise.h"
#include "core/ops/matmul.h"
#include "core/ops/norm.h"
#include "core/ops/pool.h"
#include "core/tensor/create.h"
#include "nn/builtin.h"
#include "nn/hidden_state.h"
#include "nn/layers/activations.h"
#include "nn/layers/batch_norm.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/dropout.h"
#include "nn/layers/pooling.h"
#include "nn/layers/residual.h"
#include "tests/compare.h"

using namespace az;

namespace {

struct Case {
  std::string json;
  Shape input, output;
};

// A row a layer type; the first test fails for a type without one.
const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {R"({"type": "conv2d", "out_channels": 6, "kernel": 3, "stride": 2, "padding": 1, "groups": 2})",
       {3, 4, 7, 6},
       {3, 6, 4, 3}},
      {R"({"type": "conv2d", "out_channels": 2, "kernel": 2, "dilation": 2, "bias": false})", {2, 3, 5, 6}, {2, 2, 3, 4}},
      {R"({"type": "batch_norm"})", {5, 4}, {5, 4}},
      {R"({"type": "batch_norm", "momentum": 0.3})", {3, 4, 3, 2}, {3, 4, 3, 2}},
      {R"({"type": "batch_norm", "scale": false})", {3, 4, 3, 2}, {3, 4, 3, 2}},
      {R"({"type": "group_norm", "groups": 2})", {2, 6, 3, 3}, {2, 6, 3, 3}},
      {R"({"type": "layer_norm"})", {3, 8}, {3, 8}},
      {R"({"type": "layer_norm"})", {2, 3, 4, 2}, {2, 3, 4, 2}},
      {R"({"type": "linear", "out_features": 5})", {3, 7}, {3, 5}},
      {R"({"type": "cosine_linear", "out_features": 5})", {3, 7}, {3, 5}},
      {R"({"type": "cosine_linear", "out_features": 5, "train_scale": false})", {3, 7}, {3, 5}},
      {R"({"type": "weight_norm", "layer": {"type": "linear", "out_features": 5}})", {3, 7}, {3, 5}},
      {R"({"type": "weight_norm", "layer": {"type": "conv2d", "out_channels": 6, "groups": 2, "bias": false}})",
       {3, 4, 5, 4},
       {3, 6, 3, 2}},
      {R"({"type": "relu"})", {2, 3, 4, 4}, {2, 3, 4, 4}},
      {R"({"type": "leaky_relu", "slope": 0.2})", {2, 9}, {2, 9}},
      {R"({"type": "gelu"})", {2, 9}, {2, 9}},
      {R"({"type": "silu"})", {2, 9}, {2, 9}},
      {R"({"type": "tanh"})", {2, 9}, {2, 9}},
      {R"({"type": "sigmoid"})", {2, 9}, {2, 9}},
      {R"({"type": "max_pool2d", "kernel": 3, "stride": 2, "padding": 1})", {2, 3, 6, 5}, {2, 3, 3, 3}},
      {R"({"type": "avg_pool2d"})", {2, 3, 6, 5}, {2, 3, 3, 2}},
      {R"({"type": "global_avg_pool"})", {2, 3, 4, 5}, {2, 3}},
      {R"({"type": "dropout", "probability": 0.4})", {4, 9}, {4, 9}},
      {R"({"type": "scale", "factor": -0.3})", {2, 9}, {2, 9}},
      {R"({"type": "whitening", "kernel": 3})", {2, 3, 4, 5}, {2, 54, 2, 3}},
      {R"({"type": "whitening", "train_bias": false})", {2, 1, 4, 5}, {2, 8, 3, 4}},
      {R"({"type": "flatten"})", {2, 3, 4, 5}, {2, 60}},
      {R"({"type": "sequential", "layers": [{"type": "conv2d", "out_channels": 4}, {"type": "batch_norm"}, {"type": "relu"}, {"type": "flatten"}]})",
       {3, 2, 5, 4},
       {3, 24}},
      {R"({"type": "residual", "body": [{"type": "conv2d", "out_channels": 4, "padding": 1}, {"type": "batch_norm"}],
           "shortcut": [{"type": "conv2d", "out_channels": 4, "kernel": 1}]})",
       {2, 2, 4, 4},
       {2, 4, 4, 4}},
      {R"({"type": "residual", "body": [{"type": "linear", "out_features": 5}, {"type": "tanh"}], "activation": "none"})",
       {2, 5},
       {2, 5}},
  };
  return all;
}

nn::ModulePtr make(const Case& c) {
  nn::register_builtin_layers();
  Shape one = c.input;
  one[0] = 1;
  return config::parse<config::Component<nn::LayerRegistry>>(config::parse_text(c.json, "case.json")).create(one);
}

std::map<std::string, std::vector<double>> values(const nn::Module& module) {
  std::map<std::string, std::vector<double>> all;
  for (const auto& [name, tensor] : module.state()) all[name] = tensor.to_vector<double>();
  return all;
}

std::string op_names(nn::Module& net, const Tensor& x) {
  struct Ops : nn::Observer {
    std::string text;
    void after(const nn::Module& m, const Tensor&, const Tensor& y) override { text += m.path() + ":" + op_name(y) + " "; }
  } ops;
  nn::Observe observe(ops);
  net(x);
  return ops.text;
}

}  // namespace

TEST_CASE("every layer type has a case here") {
  nn::register_builtin_layers();
  for (const std::string& type : nn::LayerRegistry::names()) {
    bool found = false;
    for (const Case& c : cases()) found |= c.json.find("{\"type\": \"" + type + "\"") == 0;
    INFO(type);
    CHECK(found);
  }
}

TEST_CASE("every layer: shape, gradients, files, copies, modes") {
  std::string file = (std::filesystem::temp_directory_path() / "azimuth_layers_test.safetensors").string();
  for (const Case& c : cases()) {
    INFO(c.json);
    seed_random(5);
    nn::ModulePtr layer = make(c);
    CHECK(layer->training());

    // Away from where they started, statistics included.
    {
      NoGrad no_grad;
      for (const Parameter& p : layer->parameters()) p.tensor.add_(randn(p.tensor.shape()), 0.3);
    }
    Tensor x = randn(c.input);
    CHECK((*layer)(x).shape() == c.output);
    auto state = values(*layer);
    CHECK(nn::hidden_state(*layer, *layer->clone(), x) == "");
    CHECK(values(*layer) == state);

    layer->eval();
    CHECK(values(*layer) == state);
    Tensor y = (*layer)(x);
    CHECK(values(*layer) == state);
    CHECK(y.shape() == c.output);
    CHECK(op_name((*layer)(x)) == op_name(y));

    layer->save(file);
    seed_random(6);
    nn::ModulePtr other = make(c);
    other->load(file);
    other->eval();
    CHECK(values(*other) == state);
    CHECK((*other)(x).to_vector<double>() == y.to_vector<double>());

    nn::ModulePtr copy = layer->clone();
    CHECK(copy->str() == layer->str());
    CHECK((*copy)(x).to_vector<double>() == y.to_vector<double>());
    copy->train();
    (*copy)(x + 1.0);
    CHECK(values(*layer) == state);
    int64_t count = 0;
    for (const Parameter& p : layer->parameters()) count += p.tensor.numel();
    CHECK(layer->parameter_count() == count);

    layer->to(DType::f64);
    for (bool training : {true, false}) {
      layer->train(training);
      std::vector<Tensor> inputs{randn(c.input, DType::f64).set_requires_grad()};
      for (const Parameter& p : layer->parameters()) inputs.push_back(p.tensor);
      auto result = gradcheck([&](const std::vector<Tensor>& in) { return (*layer)(in[0]); }, inputs, {.samples = 20});
      INFO(training << " " << result.message);
      CHECK(result.ok);
    }
  }
  std::filesystem::remove(file);
}

TEST_CASE("every layer's options and parameters reach its op") {
  seed_random(8);
  using Expected = Tensor (*)(const Tensor& x, const nn::Module& layer);
  static const auto w = [](const nn::Module& layer) { return layer.state().at("weight"); };
  static const auto b = [](const nn::Module& layer) { return layer.state().at("bias"); };
  const std::vector<std::tuple<std::string, Shape, Expected>> rows = {
      {R"({"type": "conv2d", "out_channels": 4, "kernel": 2, "stride": 2, "padding": 1, "dilation": 2, "groups": 2})",
       {2, 2, 6, 6},
       [](const Tensor& x, const nn::Module& l) {
         return conv2d(x, w(l), b(l), {.stride = 2, .padding = 1, .dilation = 2, .groups = 2});
       }},
      {R"({"type": "group_norm", "groups": 2, "eps": 0.5})",
       {2, 4, 3, 3},
       [](const Tensor& x, const nn::Module& l) { return group_norm(x, w(l), b(l), {.groups = 2, .eps = 0.5}); }},
      {R"({"type": "layer_norm", "eps": 0.5})",
       {2, 8},
       [](const Tensor& x, const nn::Module& l) { return layer_norm(x, w(l), b(l), 0.5); }},
      {R"({"type": "batch_norm", "eps": 0.5})",
       {4, 3},
       [](const Tensor& x, const nn::Module& l) {
         return batch_norm(x, {w(l), b(l)}, {.eps = 0.5});
       }},
      {R"({"type": "linear", "out_features": 3})",
       {2, 4},
       [](const Tensor& x, const nn::Module& l) { return linear(x, w(l), b(l)); }},
      {R"({"type": "relu"})", {2, 9}, [](const Tensor& x, const nn::Module&) { return relu(x); }},
      {R"({"type": "leaky_relu", "slope": 0.3})",
       {2, 9},
       [](const Tensor& x, const nn::Module&) { return leaky_relu(x, 0.3); }},
      {R"({"type": "gelu"})", {2, 9}, [](const Tensor& x, const nn::Module&) { return gelu(x); }},
      {R"({"type": "silu"})", {2, 9}, [](const Tensor& x, const nn::Module&) { return silu(x); }},
      {R"({"type": "tanh"})", {2, 9}, [](const Tensor& x, const nn::Module&) { return tanh(x); }},
      {R"({"type": "sigmoid"})", {2, 9}, [](const Tensor& x, const nn::Module&) { return sigmoid(x); }},
      {R"({"type": "scale", "factor": -0.3})", {2, 9}, [](const Tensor& x, const nn::Module&) { return x * -0.3; }},
      {R"({"type": "whitening"})", {2, 3, 5, 5}, [](const Tensor& x, const nn::Module& l) { return conv2d(x, w(l), b(l)); }},
      {R"({"type": "residual", "body": [{"type": "tanh"}]})",
       {2, 9},
       [](const Tensor& x, const nn::Module&) { return relu(tanh(x) + x); }},
      {R"({"type": "residual", "body": [{"type": "tanh"}], "activation": "none"})",
       {2, 9},
       [](const Tensor& x, const nn::Module&) { return tanh(x) + x; }},
      {R"({"type": "max_pool2d", "kernel": 3, "stride": 2, "padding": 1})",
       {1, 2, 6, 6},
       [](const Tensor& x, const nn::Module&) { return max_pool2d(x, {.kernel = 3, .stride = 2, .padding = 1}); }},
      {R"({"type": "avg_pool2d", "kernel": 3, "padding": 1})",
       {1, 2, 6, 6},
       [](const Tensor& x, const nn::Module&) { return avg_pool2d(x, {.kernel = 3, .stride = 3, .padding = 1}); }},
  };
  for (const auto& [json, input, expected] : rows) {
    INFO(json);
    nn::ModulePtr layer = make({json, input, {}});
    {
      NoGrad no_grad;
      for (const Parameter& p : layer->parameters()) p.tensor.add_(randn(p.tensor.shape()), 0.3);
    }
    Tensor x = randn(input);
    CHECK((*layer)(x).to_vector<double>() == expected(x, *layer).to_vector<double>());
  }
}

TEST_CASE("batch norm: running statistics as PyTorch's, and what each of its options does") {
  nn::BatchNorm1d norm(1, {.momentum = 0.25});
  Tensor x = Tensor::of<float>({4, 1}, {1, 2, 3, 6});  // mean 3, variance 3.5, unbiased 14/3
  norm(x);
  CHECK(norm.buffers()[0].second.item() == doctest::Approx(0.25 * 3));
  CHECK(norm.buffers()[1].second.item() == doctest::Approx(0.75 + 0.25 * 14.0 / 3));
  norm.eval();
  CHECK(norm(x).to_vector<double>()[0] == doctest::Approx((1 - 0.75) / std::sqrt(0.75 + 0.25 * 14.0 / 3 + 1e-5)));
  CHECK(nn::BatchNorm2d(3, {.affine = false}).parameter_count() == 0);
  const nn::BatchNorm2d shift(3, {.scale = false});
  CHECK(shift.parameters().size() == 1);
  CHECK(shift.parameters()[0].name == "bias");
  CHECK(nn::BatchNorm2d(3, {.zero_gamma = true}).parameters()[0].tensor.to_vector<double>() == std::vector<double>(3, 0));
  CHECK_THROWS_WITH(nn::BatchNorm2d(3)(zeros({2, 3})), "BatchNorm2d(3) takes 4 axes, got f32 [2,3]");
}

TEST_CASE("dropout drops in training and is the identity in evaluation") {
  seed_random(9);
  nn::Dropout dropout({.probability = 0.25});
  Tensor x = ones({10000});
  int64_t zeroed = 0;
  for (double v : dropout(x).to_vector<double>()) {
    CHECK((v == 0 || v == doctest::Approx(1 / 0.75)));
    zeroed += v == 0;
  }
  CHECK(std::abs(double(zeroed) - 2500) < 4 * 43.3);  // four standard deviations
  dropout.eval();
  CHECK(dropout(x).same(x));
}

TEST_CASE("a batch norm and a relu behind it run as one op, with the same values") {
  seed_random(4);
  nn::Sequential fused(nn::BatchNorm2d(3), nn::ReLU());
  nn::ReLU relu;
  nn::BatchNorm2d norm(3);
  Tensor x = randn({4, 3, 5, 5});
  CHECK(op_names(fused, x) == "0: 1:batch_norm_relu :batch_norm_relu ");  // "0" by itself has no part in it
  CHECK(fused(x).to_vector<double>() == relu(norm(x)).to_vector<double>());
  nn::Sequential apart(nn::ReLU(), nn::BatchNorm2d(3), nn::Tanh(), nn::ReLU());
  CHECK(op_names(apart, x.clone().detach().set_requires_grad()) == "0:relu 1:batch_norm 2:tanh 3:relu :relu ");
}

TEST_CASE("a residual whose body ends in a batch norm adds and bends in that norm's op, with the same values") {
  seed_random(5);
  nn::Residual fused(nn::Sequential(nn::Tanh(), nn::BatchNorm2d(3)), nn::Sequential(nn::Sigmoid()));
  nn::Residual last_is_none(nn::Sequential(nn::BatchNorm2d(3), nn::Tanh()));
  nn::Tanh body;
  nn::BatchNorm2d norm(3);
  nn::Sigmoid shortcut;
  Tensor x = randn({4, 3, 5, 5}).set_requires_grad();
  CHECK(op_names(fused, x) == "shortcut.0:sigmoid shortcut:sigmoid body.0:tanh body.1: body: :batch_norm_add_relu ");
  CHECK(test::distance(fused(x), add_relu(norm(body(x)), shortcut(x))) < 1e-6);
  CHECK(op_names(last_is_none, x) == "shortcut: body.0:batch_norm body.1:tanh body:tanh :add_relu ");
}

namespace {
struct AsF64 : nn::Layer<AsF64> {
  Tensor forward(const Tensor& x) override { return x.to(DType::f64); }
};
}  // namespace

TEST_CASE("a residual whose shortcut does not fit says so in one sentence, whichever op adds the two") {
  const Tensor x = randn({4, 3, 5, 5});
  const auto conv = [] { return nn::Conv2d(3, {.out_channels = 3, .padding = 1}); };
  const auto said = [&](nn::Sequential body, bool relu, bool training, bool wide) {
    nn::Residual residual(std::move(body), wide ? nn::Sequential(AsF64()) : nn::Sequential(nn::MaxPool2d()), relu);
    residual.train(training);
    const NoGrad no_grad;
    const std::string text = test::error_of([&] { residual(x); });
    return text.substr(std::min(text.find(": f32 ["), text.find(": f64 [")));
  };
  for (const bool relu : {true, false}) {
    for (const bool training : {true, false}) {
      for (const bool wide : {true, false}) {
        const std::string expected = std::string(wide ? ": f64 [4,3,5,5]" : ": f32 [4,3,2,2]") +
                                     " is to be added to f32 [4,3,5,5]; give the shortcut layers that bring both to one shape "
                                     "and number type";
        CHECK(said(nn::Sequential(nn::Tanh()), relu, training, wide) == expected);
        CHECK(said(nn::Sequential(nn::BatchNorm2d(3)), relu, training, wide) == expected);
        CHECK(said(nn::Sequential(conv(), nn::BatchNorm2d(3)), relu, training, wide) == expected);
      }
    }
  }
}

TEST_CASE("residual: relu(body + shortcut), the input itself where there is no shortcut") {
  nn::Residual plain{nn::Sequential(nn::Tanh())}, linear(nn::Sequential(nn::Tanh()), nn::Sequential(nn::Sigmoid()), false);
  Tensor x = Tensor::of<float>({3}, {-2, 0.5, 1});
  auto near = [](const Tensor& y, std::vector<double> expected) {
    auto got = y.to_vector<double>();
    for (size_t i = 0; i < expected.size(); ++i) CHECK(got[i] == doctest::Approx(expected[i]));
  };
  near(plain(x), {0, 0.5 + std::tanh(0.5), 1 + std::tanh(1)});
  near(linear(x), {std::tanh(-2) + 1 / (1 + std::exp(2)), std::tanh(0.5) + 1 / (1 + std::exp(-0.5)),
                   std::tanh(1) + 1 / (1 + std::exp(-1))});
}
