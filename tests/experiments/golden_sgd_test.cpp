#include <doctest/doctest.h>

#include "core/ops/loss.h"
#include "optim/sgd.h"
#include "tests/compare.h"
#include "tests/nn/golden_networks.h"

namespace az::test {
namespace {

void check_ten_steps(const GoldenNetwork& network, DType type, double tolerance) {
  CAPTURE(network.name);
  const auto goldens = network.goldens();
  nn::ModulePtr net = network.start(goldens, type);
  const Tensor images = goldens.at("images").to(type);
  optim::Sgd sgd(net->parameters(), {.lr = 0.01, .momentum = 0.9, .nesterov = true, .weight_decay = 5e-4});
  std::vector<double> losses;
  for (int step = 0; step < 10; ++step) {
    Tensor loss = cross_entropy((*net)(images), goldens.at("labels"));
    sgd.zero_grad();
    loss.backward();
    sgd.step();
    losses.push_back(loss.item());
  }
  CHECK(distance(Tensor::of<double>({10}, losses), goldens.at("losses")) <= tolerance);
  const auto state = net->state();
  const auto final = GoldenNetwork::part(goldens, "final/");
  CHECK(state.size() == final.size());
  for (const auto& [name, tensor] : state) {
    CAPTURE(name);
    REQUIRE(final.contains(name));
    CHECK(distance(tensor, final.at(name)) <= tolerance);
  }
}

}  // namespace

TEST_CASE("resnets: ten steps of SGD in f64 go where PyTorch's go") {
  for (const auto& network : golden_networks()) check_ten_steps(network, DType::f64, 1e-9);
}

TEST_CASE("resnets: ten steps of SGD in f32 go where PyTorch's go") {
  for (const auto& network : golden_networks()) check_ten_steps(network, DType::f32, 1e-5);
}

}  // namespace az::test
