// State that a layer did not register is found by what it does to the output: by whether a copy that has the registered state
// gives the same.
#include "nn/hidden_state.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <random>

#include "core/autograd/autograd.h"
#include "core/base/random.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/tensor/create.h"
#include "nn/layers/batch_norm.h"
#include "nn/layers/dropout.h"
#include "nn/layers/linear.h"
#include "nn/layers/sequential.h"
#include "nn/models/resnet.h"
#include "tests/nn/own_layer.h"

using namespace az;
using test::Own;

namespace {

enum class Kind {
  assigned,
  in_place,
  registered,
  constant,
  counter,
  own_random,
  in_training_only,
  in_parameter,
  set_once,
  first_into_buffer,  // the mean of the first batch alone
  first_into_parameter,
  first_in_any_mode,
  first_noted  // by a buffer, that there was one
};

bool takes_first(Kind kind) { return kind >= Kind::first_into_buffer; }

// Takes the mean of what it saw so far off its input.
struct Running : nn::Layer<Running> {
  explicit Running(Kind given) : kind(given) {
    if (kind == Kind::in_parameter || kind == Kind::first_into_parameter)
      add_parameter("mean", zeros({1}));
    else if (kind == Kind::registered || takes_first(kind))
      add_buffer("mean", zeros({1}));
    if (kind == Kind::first_noted) add_buffer("seen", zeros({1}));
  }

 protected:
  Tensor forward(const Tensor& x) override {
    const Tensor& held = kind == Kind::registered ? buffer("mean") : mean;
    if (takes_first(kind)) return x - first_mean(x);
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

  // What ActNorm does.
  Tensor first_mean(const Tensor& x) {
    const Tensor held = (kind == Kind::first_into_parameter ? parameter("mean") : buffer("mean")).detach();
    const bool is_first = kind == Kind::first_noted ? buffer("seen").to_vector<double>()[0] == 0 : count == 0;
    if (is_first && (training() || kind == Kind::first_in_any_mode)) {
      const NoGrad no_grad;
      held.copy_(mean_of(x));
      if (kind == Kind::first_noted) buffer("seen").add_(ones({1}));
      ++count;
    }
    return held.clone();
  }

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
  for (const Kind kind : {Kind::assigned, Kind::in_place, Kind::counter, Kind::own_random, Kind::in_training_only,
                          Kind::set_once, Kind::first_into_buffer, Kind::first_into_parameter, Kind::first_in_any_mode}) {
    CAPTURE(int(kind));
    CHECK(found(kind) == "2 (Running)");
  }
  CHECK(found(Kind::registered) == "");
  CHECK(found(Kind::constant) == "");
  CHECK(found(Kind::in_parameter) == "");
  CHECK(found(Kind::first_noted) == "");
  CHECK(hidden_in(Running(Kind::assigned), images) == "Running");
}

TEST_CASE("the layer that keeps the state is named, not the part that shows it") {
  // What a layer makes of its input, its two linear parts and how often it was trained.
  using Function = std::function<Tensor(Own&, const Tensor&, int)>;
  struct Net {
    explicit Net(const Function& f) {
      const auto own = [f, count = 0](Own& self, const Tensor& x) mutable {
        if (self.training()) ++count;
        return f(self, x, count);
      };
      auto layer = std::make_unique<Own>(own);
      layer->add_child("a", nn::Linear(3, {.out_features = 3}));
      layer->add_child("b", nn::Linear(3, {.out_features = 3}));
      sequential.append(std::make_unique<nn::Linear>(3, nn::LinearOptions{.out_features = 3}));
      sequential.append(std::move(layer));
      sequential.append(std::make_unique<nn::Linear>(3, nn::LinearOptions{.out_features = 3}));
    }
    nn::Sequential sequential;
  };
  const std::vector<Function> layers = {
      [](Own& self, const Tensor& x, int count) { return self.child("a")(x * (1.0 + count)); },
      [](Own& self, const Tensor& x, int count) { return self.child("b")(self.child("a")(x) + double(count)); },
      [](Own& self, const Tensor& x, int count) { return self.child("a")(x) * (1.0 + count) + self.child("b")(x); },
      [](Own& self, const Tensor& x, int count) { return self.child(count > 1 ? "a" : "b")(x); },
      [](Own& self, const Tensor& x, int count) {
        Tensor y = x;
        for (int i = 0; i <= count; ++i) y = self.child("a")(y);
        return y;
      },
      // What is given to a part shows in nothing behind it.
      [](Own& self, const Tensor& x, int count) { return self.child("a")(x * (1.0 + count)) * 0.0; },
  };
  for (size_t i = 0; i < layers.size(); ++i) {
    CAPTURE(i);
    CHECK(hidden_in(Net(layers[i]).sequential, zeros({2, 3})) == "1 (Own)");
  }
  CHECK(hidden_in(Net([](Own& self, const Tensor& x, int) { return self.child("b")(self.child("a")(x)); }).sequential,
                  zeros({2, 3})) == "");
  // One within another.
  Own outer([](Own& self, const Tensor& x) { return self.child("inner")(x) * 2.0; });
  outer.add_child("inner", std::make_unique<nn::Sequential>(Net(layers[0]).sequential));
  CHECK(hidden_in(outer, zeros({2, 3})) == "inner.1 (Own)");
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
