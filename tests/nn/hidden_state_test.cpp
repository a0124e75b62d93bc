// State that a layer did not register is found by what it does to the output: by whether a copy that has the registered state
// gives the same.
#include "nn/hidden_state.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "core/autograd/autograd.h"
#include "core/base/random.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/tensor/create.h"
#include "nn/layers/batch_norm.h"
#include "nn/layers/dropout.h"
#include "nn/layers/sequential.h"
#include "nn/models/resnet.h"
#include "tests/nn/own_layer.h"

using namespace az;
using test::Own;

namespace {

enum class Kind { assigned, in_place, registered, constant, counter, own_random, in_training_only, in_parameter, set_once };

// Takes the mean of what it saw so far off its input.
struct Running : nn::Layer<Running> {
  explicit Running(Kind given) : kind(given) {
    if (kind == Kind::registered) add_buffer("mean", zeros({1}));
    if (kind == Kind::in_parameter) add_parameter("mean", zeros({1}));
  }

 protected:
  Tensor forward(const Tensor& x) override {
    const Tensor& held = kind == Kind::registered ? buffer("mean") : mean;
    if (training()) {
      const NoGrad no_grad;
      const Tensor now = mean_of(x);
      if (kind == Kind::assigned || kind == Kind::in_training_only) mean = mean * 0.9 + now * 0.1;
      if (kind == Kind::in_place || kind == Kind::registered) held.detach().mul_(0.9).add_(now, 0.1);
      if (kind == Kind::in_parameter) parameter("mean").detach().add_(now);
      if (kind == Kind::set_once && count == 0) mean = now;
      ++count;
    }
    if (kind == Kind::in_parameter) return x - parameter("mean").detach();
    if (kind == Kind::own_random) return training() ? x + std::uniform_real_distribution<>()(engine) : x;
    if (kind == Kind::counter) return x + double(count);
    if (kind == Kind::in_training_only && !training()) return x;
    return x - held;
  }

 private:
  static Tensor mean_of(const Tensor& x) { return az::mean(x.to(DType::f32)).reshape({1}) + 1.0; }

  Kind kind;
  Tensor mean = zeros({1});
  int64_t count = 0;
  std::mt19937 engine{3};
};

nn::Sequential net_with(Kind kind) {
  nn::Sequential net;
  net.append(std::make_unique<nn::BatchNorm2d>(3));
  net.append(std::make_unique<nn::Dropout>());
  net.append(std::make_unique<Running>(kind));
  net.append(std::make_unique<nn::Dropout>());
  return net;
}

std::string hidden_in(const nn::Module& network, const Tensor& images) {
  return nn::hidden_state(network, *network.clone(), images);
}

}  // namespace

TEST_CASE("state that is neither a parameter nor a buffer is found, with its layer") {
  const Tensor images = zeros({2, 3, 4, 4});
  const auto found = [&](Kind kind) { return hidden_in(net_with(kind), images); };
  for (const Kind kind :
       {Kind::assigned, Kind::in_place, Kind::counter, Kind::own_random, Kind::in_training_only, Kind::set_once}) {
    CAPTURE(int(kind));
    CHECK(found(kind) == "2 (Running)");
  }
  CHECK(found(Kind::registered) == "");
  CHECK(found(Kind::constant) == "");
  CHECK(found(Kind::in_parameter) == "");
  CHECK(hidden_in(Running(Kind::assigned), images) == "Running");
}

TEST_CASE("a network without such state has none, and the search leaves it and the random numbers as they were") {
  const auto net = models::cifar_resnet({.depth = 20});
  const auto before = net->state();
  std::map<std::string, std::vector<double>> values;
  for (const auto& [name, tensor] : before) values[name] = tensor.to_vector<double>();
  seed_random(11);
  const double next = next_generator().uniform();
  seed_random(11);
  CHECK(hidden_in(*net, zeros({2, 3, 32, 32})) == "");
  CHECK(next_generator().uniform() == next);
  CHECK(net->training());
  for (const auto& [name, tensor] : net->state()) CHECK(tensor.to_vector<double>() == values[name]);
  // What is not finite is no difference.
  CHECK(hidden_in(Own([](Own&, const Tensor& x) { return x * NAN; }), zeros({2, 3})) == "");
  CHECK(hidden_in(Own([](Own&, const Tensor& x) { return x * INFINITY; }), zeros({2, 3})) == "");
}
