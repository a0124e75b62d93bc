#include "nn/hidden_state.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "core/autograd/autograd.h"
#include "core/base/random.h"
#include "core/tensor/create.h"

namespace az::nn {
namespace {

// Keeps what modules got and gave in a forward, in the order in which they did. Each is kept with the module that answers for
// it; for what a module got, that is the one that ran it.
struct Steps : Observer {
  void before(const Module& module, const Tensor& x) override {
    const std::string name = module.path().empty() ? class_of(module) : fmt::format("{} ({})", module.path(), class_of(module));
    all.push_back({.who = running.empty() ? name : running.back(), .what = "to " + name, .value = x.detach().clone()});
    running.push_back(name);
  }
  void after(const Module&, const Tensor&, const Tensor& y) override {
    all.push_back({.who = running.back(), .what = "from " + running.back(), .value = y.detach().clone()});
    running.pop_back();
  }

  struct Step {
    std::string who, what;
    Tensor value;
  };
  std::vector<Step> all;
  std::vector<std::string> running;
};

// Runs the network once and returns its steps. All that is random is the same in every call.
std::vector<Steps::Step> steps_of(Module& network, const Tensor& x, bool training) {
  network.train(training);
  seed_random(0);
  Steps steps;
  const Observe observe(steps);
  network(x);
  return steps.all;
}

// Says whether two tensors differ by more than other algorithms, or bf16's rounding, make of the same numbers.
bool differ(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  const double tolerance = a.dtype() == DType::bf16 ? 0.03 : 1e-4;
  double difference = 0, size = 0;
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    if (x[i] == y[i] || (std::isnan(x[i]) && std::isnan(y[i]))) continue;
    difference += (x[i] - y[i]) * (x[i] - y[i]);
    size += x[i] * x[i];
  }
  return x.size() != y.size() || !(difference <= tolerance * tolerance * size);
}

// Names the module that answers for the first difference.
std::string first_difference(const std::vector<Steps::Step>& one, const std::vector<Steps::Step>& other) {
  for (size_t i = 0; i < one.size(); ++i) {
    if (i == other.size() || one[i].what != other[i].what || differ(one[i].value, other[i].value)) return one[i].who;
  }
  return "";
}

struct KeepRandom {
  ~KeepRandom() { set_random_state(before); }
  RandomState before = random_state();
};

// Gives `copy` what it has not of the parameters and buffers of `network`.
class Restore {
 public:
  Restore(const Module& network, Module& copy) : original_(network.state()), copy_(copy) { note_versions(); }

  void operator()() {
    std::map<std::string, Tensor> changed;
    for (const auto& [name, tensor] : copy_.state()) {
      if (versions_.at(name) != tensor.storage()->version()) changed.emplace(name, original_.at(name));
    }
    copy_.load_state(changed, {.strict = false});
    note_versions();
  }

 private:
  void note_versions() {
    for (const auto& [name, tensor] : copy_.state()) versions_[name] = tensor.storage()->version();
  }

  std::map<std::string, Tensor> original_;
  Module& copy_;
  std::map<std::string, uint64_t> versions_;
};

}  // namespace

std::string hidden_state(const Module& network, Module& copy, const Tensor& images) {
  const KeepRandom keep;
  const NoGrad no_grad;
  seed_random(1);
  const auto batch = [&] { return randn(images.shape()).to(images.dtype()); };
  const Tensor first = batch(), second = batch();
  Restore restore(network, copy);
  const auto again = [&](const Tensor& x, bool training) {
    std::vector<Steps::Step> made = steps_of(copy, x, training);
    restore();
    return made;
  };
  // The copy evaluates and trains once before anything is compared, so that what a layer sets up in its first batch does not
  // count as a difference.
  const auto evaluated = again(first, false), trained = again(first, true);
  again(second, true);
  const std::string found = first_difference(evaluated, again(first, false));
  return found.empty() ? first_difference(trained, again(first, true)) : found;
}

}  // namespace az::nn
