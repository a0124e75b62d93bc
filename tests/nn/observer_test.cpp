// What observers see of modules that compute in one pass with their neighbours: the same as of a network in f64 that runs them
// one by one.
#include <doctest/doctest.h>

#include <optional>

#include "core/autograd/autograd.h"
#include "core/base/profile.h"
#include "core/base/random.h"
#include "core/ops.h"
#include "core/tensor/create.h"
#include "nn/layers/activations.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/linear.h"
#include "nn/layers/pooling.h"
#include "nn/layers/residual.h"
#include "nn/models/resnet.h"
#include "tests/compare.h"

using namespace az;

namespace {

// A module's input, output and the gradients of its output.
struct Sight {
  Tensor input, output;
  std::vector<Tensor> gradients;
};

struct Watcher : nn::Observer {
  std::map<std::string, Sight> seen;
  std::optional<std::string> only = {};  // path of the one that it watches
  bool watches(const nn::Module& module) const override { return !only || module.path() == *only; }
  void after(const nn::Module& module, const Tensor& input, const Tensor& output) override {
    seen[module.path()] = {input.detach().clone(), output.detach().clone(), {}};
  }
  bool wants_gradient(const nn::Module&) override { return true; }
  void gradient(const nn::Module& module, const Tensor& gradient) override {
    gradient.to(DType::f64).data<double>();  // row-major
    seen[module.path()].gradients.push_back(gradient);
  }
};

// Of a class of its own, so that nothing is run together with it.
struct ApartNorm : nn::Layer<ApartNorm, nn::BatchNorm2d> {
  using Layer::Layer;
};

template <class Norm> nn::Sequential network() {
  const auto conv = [](int64_t in, int64_t out, int64_t stride = 1) {
    return nn::Conv2d(in, {.out_channels = out, .kernel = 3, .stride = stride, .padding = 1, .bias = false});
  };
  const auto norm = [] { return Norm(16); };
  return nn::Sequential(conv(3, 16), norm(), nn::ReLU(),
                        nn::Residual(nn::Sequential(conv(16, 16), norm(), nn::ReLU(), conv(16, 16), norm())),
                        nn::Residual(nn::Sequential(conv(16, 16, 2), norm()), nn::Sequential(conv(16, 16, 2), norm()), false),
                        conv(16, 16), norm(), nn::Sequential(norm(), nn::ReLU(), nn::ReLU()), norm(), nn::Tanh(),
                        nn::GlobalAvgPool(), nn::Linear(16, {.out_features = 5}));
}

Tensor loss_of(nn::Module& net, const Tensor& x) {
  const Tensor y = net(x);
  return mean(y * y * y);
}

}  // namespace

TEST_CASE("observers see each module's own input, output and gradient, also where one pass does the work of several") {
  seed_random(3);
  nn::Sequential together = network<nn::BatchNorm2d>(), apart = network<ApartNorm>();
  {
    const NoGrad no_grad;
    for (const Parameter& p : together.parameters()) p.tensor.add_(randn(p.tensor.shape()), 0.2);
    together(randn({8, 3, 12, 12}));
  }
  apart.load_state(together.state());
  apart.to(DType::f64);
  const Tensor x = randn({4, 3, 12, 12});
  for (const bool training : {true, false}) {
    for (const bool recorded : {true, false}) {
      Watcher one, other;
      for (const bool exact : {false, true}) {
        nn::Module& net = exact ? apart : together;
        net.train(training);
        const nn::Observe observe(exact ? other : one);
        const GradMode mode(recorded);
        const Tensor loss = loss_of(net, x.to(exact ? DType::f64 : DType::f32));
        if (recorded) loss.backward();
      }
      CHECK(one.seen.size() == apart.modules().size());
      for (const auto& [path, sight] : other.seen) {
        CAPTURE(path);
        CAPTURE(training);
        const Sight& found = one.seen.at(path);
        CHECK(test::distance(found.input, sight.input) < 1e-5);
        CHECK(test::distance(found.output, sight.output) < 1e-5);
        // An empty shortcut gives its input, whose gradient is of the body, too.
        const bool shown = recorded && path != "3.shortcut";
        REQUIRE(sight.gradients.size() == size_t(shown));
        REQUIRE(found.gradients.size() == size_t(shown));
        if (shown) CHECK(test::distance(found.gradients[0], sight.gradients[0]) < 1e-4);
      }
    }
  }
}

TEST_CASE("observers see the batch norms of a ResNet's blocks before what follows them, and gradients as grad() has them") {
  seed_random(4);
  for (const bool bottleneck : {false, true}) {
    const nn::ModulePtr net = bottleneck ? models::resnet({.depth = 50, .stem = "imagenet", .width = 4})
                                         : models::cifar_resnet({.depth = 20, .shortcut = "B", .width = 8});
    net->to(DType::f64);
    Watcher watcher;
    const nn::Observe observe(watcher);
    loss_of(*net, randn({2, 3, 24, 24}).to(DType::f64)).backward();
    const auto& seen = watcher.seen;
    const std::string last = bottleneck ? "bn3" : "bn2";
    for (const std::string block : {"layer1.0", "layer2.0"}) {
      CAPTURE(block);
      const auto at = [&](const std::string& name) { return seen.at(block + "." + name); };
      CHECK(test::distance(at("conv2").input, relu(at("bn1").output)) < 1e-12);
      CHECK(min(at("bn1").output).item() < 0);
      const bool changes = seen.contains(block + ".downsample");
      const Tensor added = changes ? at("downsample").output : seen.at(block).input;
      const Sight& whole = seen.at(block);
      CHECK(test::distance(relu(at(last).output + added), whole.output) < 1e-12);
      const Tensor passes = where(greater(whole.output, zeros({}, DType::f64)), whole.gradients.at(0), zeros({}, DType::f64));
      CHECK(test::distance(at(last).gradients.at(0), passes) == 0);
      if (changes) CHECK(test::distance(at("downsample").gradients.at(0), passes) < 1e-12);
      // The norm's own gradient of its shift is the sum of its output's gradient.
      for (const Parameter& p : net->parameters()) {
        if (p.name != block + ".bn1.bias" && p.name != block + "." + last + ".bias") continue;
        const Tensor g = seen.at(p.name.substr(0, p.name.rfind('.'))).gradients.at(0);
        CHECK(test::distance(sum(g, {{0, 2, 3}}), p.tensor.grad()) < 1e-10);
      }
    }
  }
}

TEST_CASE("observers change no bit of a training step, of its gradients nor of the running statistics") {
  seed_random(5);
  for (const bool bf16 : {false, true}) {
    if (bf16 && test::skipped_without_bf16()) continue;
    std::vector<nn::ModulePtr> nets;
    nets.push_back(network<nn::BatchNorm2d>().clone());
    nets.push_back(models::cifar_resnet({.depth = 20}));
    nets.push_back(models::resnet({.depth = 18, .width = 16}));
    const Tensor x = randn({8, 3, 16, 16}).to(bf16 ? DType::bf16 : DType::f32);
    for (const nn::ModulePtr& net : nets) {
      const nn::ModulePtr watched = net->clone();
      loss_of(*net, x).backward();
      Watcher watcher;
      {
        const nn::Observe observe(watcher);
        loss_of(*watched, x).backward();
      }
      CHECK(watcher.seen.size() == net->modules().size());
      const auto state = watched->state();
      for (const auto& [name, tensor] : net->state()) CHECK(tensor.to_vector<float>() == state.at(name).to_vector<float>());
      const auto parameters = watched->parameters();
      for (size_t i = 0; i < parameters.size(); ++i) {
        CAPTURE(parameters[i].name);
        CHECK(parameters[i].tensor.grad().to_vector<float>() == net->parameters()[i].tensor.grad().to_vector<float>());
      }
    }
  }
}

TEST_CASE("who watches one module sees what those who watch all see of it, and little is computed for that") {
  seed_random(6);
  nn::Sequential net = network<nn::BatchNorm2d>();
  const Tensor x = randn({4, 3, 12, 12});
  const auto ops = [&](nn::Observer* observer, bool recorded) {
    std::optional<nn::Observe> observe;
    if (observer) observe.emplace(*observer);
    const GradMode mode(recorded);
    const Profile profile;
    const Tensor loss = loss_of(net, x);
    int64_t calls = 0;
    for (const Profile::Entry& entry : profile.entries()) {
      if (entry.op == "conv2d" || entry.op.starts_with("batch_norm")) calls += entry.calls;
    }
    if (recorded) loss.backward();
    return calls;
  };
  for (const bool training : {true, false}) {
    for (const bool recorded : {true, false}) {
      net.train(training);
      Watcher all, none;
      none.only = "none";
      const int64_t unwatched = ops(nullptr, recorded);
      CHECK(ops(&none, recorded) == unwatched);
      CHECK(none.seen.empty());
      ops(&all, recorded);
      const bool folds = !training && !recorded;
      int64_t more = 0;
      for (const nn::Module* module : net.modules()) {
        Watcher one;
        one.only = module->path();
        CAPTURE(*one.only);
        CAPTURE(training);
        CAPTURE(recorded);
        const int64_t beside = ops(&one, recorded) - unwatched;
        more += beside;
        REQUIRE(one.seen.size() == 1);
        const Sight &found = one.seen.at(*one.only), &wanted = all.seen.at(*one.only);
        CHECK(test::distance(found.input, wanted.input) == 0);
        CHECK(test::distance(found.output, wanted.output) == 0);
        REQUIRE(found.gradients.size() == wanted.gradients.size());
        for (size_t i = 0; i < found.gradients.size(); ++i) CHECK(test::distance(found.gradients[i], wanted.gradients[i]) == 0);
        CHECK(beside <= (folds ? 2 : 1));
        if (*one.only == "7" || *one.only == "9" || *one.only == "10" || one.only->empty()) CHECK(beside == 0);
        if (*one.only == "1" || *one.only == "2") CHECK(beside == (folds ? 2 : 1));
      }
      CHECK(more > 0);
    }
  }
}

TEST_CASE("an observer sees gradients as long as it is attached, and of frozen modules none") {
  nn::Sequential net(nn::Linear(3, {.out_features = 4}), nn::Linear(4, {.out_features = 2}));
  net.freeze("0.*");
  const Tensor x = randn({2, 3});
  Watcher watcher;
  Tensor loss;
  {
    const nn::Observe observe(watcher);
    loss = loss_of(net, x);
    loss.backward({.retain_graph = true});
    CHECK(watcher.seen.at("0").gradients.empty());
    CHECK(watcher.seen.at("1").gradients.size() == 1);
    loss.backward({.retain_graph = true});
    CHECK(watcher.seen.at("1").gradients.size() == 2);
    const NoGrad no_grad;
    loss_of(net, x);
  }
  loss.backward();
  CHECK(watcher.seen.at("1").gradients.empty());
  struct Throws : nn::Observer {
    bool wants_gradient(const nn::Module& module) override { return module.path() == "1"; }
    void gradient(const nn::Module&, const Tensor&) override { throw std::runtime_error("seen enough"); }
  } throws;
  const nn::Observe observe(throws);
  CHECK(test::error_of([&] { loss_of(net, x).backward(); }) == "1: observer Throws: seen enough");
}
