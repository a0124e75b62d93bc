#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/autograd/autograd.h"
#include "core/base/random.h"
#include "core/config/json_document.h"
#include "core/ops/loss.h"
#include "core/tensor/create.h"
#include "nn/builtin.h"
#include "tests/compare.h"
#include "tests/nn/golden_networks.h"

namespace az::test {
namespace {

// One batch in train and eval mode against the goldens.
void check_batch(const GoldenNetwork& network, DType type, double value_tolerance, double gradient_tolerance) {
  CAPTURE(network.name);
  const auto goldens = network.goldens();
  nn::ModulePtr net = network.start(goldens, type);
  const Tensor images = goldens.at("images").to(type);

  Tensor logits = (*net)(images);
  Tensor loss = cross_entropy(logits, goldens.at("labels"));
  loss.backward();
  CHECK(distance(logits, goldens.at("logits")) <= value_tolerance);
  CHECK(distance(loss, goldens.at("loss")) <= value_tolerance);

  auto gradients = GoldenNetwork::part(goldens, "gradient/");
  CHECK(net->parameters().size() == gradients.size());
  for (const Parameter& parameter : net->parameters()) {
    CAPTURE(parameter.name);
    REQUIRE(gradients.contains(parameter.name));
    CHECK(distance(parameter.tensor.grad(), gradients[parameter.name]) <= gradient_tolerance);
  }
  auto running = GoldenNetwork::part(goldens, "running/");
  CHECK(net->buffers().size() == running.size());
  for (const auto& [name, buffer] : net->buffers()) {
    CAPTURE(name);
    REQUIRE(running.contains(name));
    CHECK(distance(buffer, running[name]) <= value_tolerance);
  }

  net->eval();
  NoGrad no_grad;
  CHECK(distance((*net)(images), goldens.at("eval_logits")) <= value_tolerance);
}

// Which inputs of ReLUs are above 0: what a first batch norm of a block gives, and a block's own result.
struct Kinks : nn::Observer {
  std::vector<bool> above;
  void after(const nn::Module& module, const Tensor&, const Tensor& y) override {
    const bool is_block =
        std::count(module.path().begin(), module.path().end(), '.') == 1 && module.path().starts_with("layer");
    if (!is_block && !module.path().ends_with("bn1")) return;
    for (double value : y.to_vector<double>()) above.push_back(value > 0);
  }
};

// Loss and gradients of a network on a batch.
std::vector<Tensor> gradients_of(const nn::Module& start, DType type, uint64_t seed, Kinks& kinks) {
  Philox generator(seed);
  Tensor images = randn({2, 3, 32, 32}, generator, DType::f32).to(type);
  const nn::ModulePtr net = start.clone();
  const nn::Observe observe(kinks);
  Tensor loss = cross_entropy((*net)(images), Tensor::of<int64_t>({2}, {3, 8}));
  loss.backward();
  std::vector<Tensor> found{loss.detach()};
  for (const Parameter& parameter : net->parameters()) found.push_back(parameter.tensor.grad());
  return found;
}

// The number types of what each module gives, by path.
struct Types : nn::Observer {
  std::map<std::string, DType> given;
  void after(const nn::Module& module, const Tensor&, const Tensor& y) override { given[module.path()] = y.dtype(); }
};

Tensor ten_classes(int64_t count) {
  std::vector<int64_t> classes(size_t(count), 0);
  for (int64_t i = 0; i < count; ++i) classes[size_t(i)] = i % 10;
  return Tensor::of<int64_t>({count}, classes);
}

const char* smooth = R"({"type": "network", "layers": [
  {"type": "conv2d", "out_channels": 16, "padding": 1, "bias": false}, {"type": "batch_norm"}, {"type": "gelu"},
  {"type": "residual",
   "body": [
     {"type": "conv2d", "out_channels": 32, "stride": 2, "padding": 1, "bias": false}, {"type": "batch_norm"}, {"type": "silu"},
     {"type": "conv2d", "out_channels": 32, "padding": 1, "bias": false}, {"type": "batch_norm"}],
   "shortcut": [{"type": "conv2d", "out_channels": 32, "kernel": 1, "stride": 2, "bias": false}, {"type": "batch_norm"}]},
  {"type": "gelu"},
  {"type": "global_avg_pool"},
  {"type": "linear", "out_features": 10}
]})";

}  // namespace

TEST_CASE("resnets: values, gradients and running statistics in f64 are PyTorch's") {
  for (const auto& network : golden_networks()) check_batch(network, DType::f64, 1e-9, 1e-9);
}

TEST_CASE("resnets: values, gradients and running statistics in f32 are PyTorch's") {
  for (const auto& network : golden_networks()) check_batch(network, DType::f32, 1e-4, 1e-3);
}

TEST_CASE("resnets: f32 agrees with f64 where layouts are full and Winograd runs") {
  seed_random(1);
  std::vector<nn::ModulePtr> wide;
  wide.push_back(models::cifar_resnet({.depth = 20, .shortcut = "A"}));
  wide.push_back(models::cifar_resnet({.depth = 20, .shortcut = "B"}));
  wide.push_back(models::resnet({.depth = 18, .width = 32}));
  for (size_t k = 0; k < wide.size(); ++k) {
    CAPTURE(k);
    nn::ModulePtr exact = wide[k]->clone();
    exact->to(DType::f64);
    // Where rounding moves an input of a ReLU across 0, gradients jump by percents: such batches say nothing.
    int compared = 0;
    for (uint64_t seed = 1; seed <= 12 && compared < 2; ++seed) {
      Kinks of_single, of_twice;
      auto single = gradients_of(*wide[k], DType::f32, seed, of_single),
           twice = gradients_of(*exact, DType::f64, seed, of_twice);
      REQUIRE(single.size() == twice.size());
      REQUIRE(of_single.above.size() > 100'000);
      CHECK(distance(single[0], twice[0]) <= 1e-5);
      if (of_single.above != of_twice.above) continue;
      ++compared;
      for (size_t i = 1; i < single.size(); ++i) CHECK(distance(single[i], twice[i]) <= 1e-4);
    }
    CHECK(compared == 2);
  }
}

TEST_CASE("resnets: bf16 agrees with f32, in whatever its layers hand on up to the logits, which are f32") {
  if (test::skipped_without_bf16()) return;
  for (const char* shortcut : {"A", "B"}) {
    CAPTURE(shortcut);
    seed_random(1);
    nn::ModulePtr net = models::cifar_resnet({.depth = 20, .shortcut = shortcut}), half = net->clone();
    Philox generator(12);
    const Tensor images = randn({32, 3, 32, 32}, generator, DType::f32);
    const Tensor labels = ten_classes(32);
    const Tensor wanted = cross_entropy((*net)(images), labels);
    wanted.backward();

    Types types;
    nn::Observe observe(types);
    const Tensor found = cross_entropy((*half)(images.to(DType::bf16)), labels);
    found.backward();
    for (const auto& [path, type] : types.given) {
      CAPTURE(path);
      CHECK(type == (path.empty() || path == "fc" ? DType::f32 : DType::bf16));
    }
    CHECK(distance(found, wanted) <= 1e-2);
    double difference = 0, norm = 0;
    const auto single = net->parameters(), rounded = half->parameters();
    for (size_t i = 0; i < single.size(); ++i) {
      CHECK(rounded[i].tensor.grad().dtype() == DType::f32);
      const auto a = rounded[i].tensor.grad().to_vector<double>(), b = single[i].tensor.grad().to_vector<double>();
      for (size_t k = 0; k < a.size(); ++k) difference += (a[k] - b[k]) * (a[k] - b[k]), norm += b[k] * b[k];
    }
    // Rounding moves inputs of ReLUs across 0, the more the deeper: PyTorch 1.13's autocast is off by 24 to 27 % here. The last
    // layer is not, and the network below without kinks has tighter bounds.
    CHECK(std::sqrt(difference / norm) <= 0.32);
    CHECK(distance(half->parameters().back().tensor.grad(), net->parameters().back().tensor.grad()) <= 3e-2);
    for (size_t i = 0; i < net->buffers().size(); ++i)
      CHECK(distance(half->buffers()[i].second, net->buffers()[i].second) <= 2e-2);
  }
}

TEST_CASE("bf16: all gradients of a residual network without kinks are those of f32") {
  if (test::skipped_without_bf16()) return;
  nn::register_builtin_models();
  const auto options = config::parse<config::Component<nn::ModelRegistry>>(config::parse_text(smooth, "smooth.json"), "model");
  seed_random(1);
  nn::ModulePtr net = options.create(Shape{1, 3, 16, 16}, 10), half = net->clone();
  Philox generator(12);
  const Tensor images = randn({32, 3, 16, 16}, generator, DType::f32), labels = ten_classes(32);
  cross_entropy((*net)(images), labels).backward();
  cross_entropy((*half)(images.to(DType::bf16)), labels).backward();
  const auto wanted = net->parameters(), found = half->parameters();
  for (size_t i = 0; i < wanted.size(); ++i) {
    CAPTURE(wanted[i].name);
    CHECK(distance(found[i].tensor.grad(), wanted[i].tensor.grad()) <= 5e-2);
  }
}

}  // namespace az::test
