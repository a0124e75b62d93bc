#include "nn/module.h"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>

#include "core/autograd/autograd.h"
#include "core/ops/activations.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/safetensors.h"
#include "core/tensor/create.h"
#include "nn/layers/activations.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/linear.h"
#include "nn/layers/sequential.h"
#include "tests/compare.h"

using namespace az;
using test::error_of;
using test::has;
using Names = std::vector<std::string>;

namespace {

// y = x * gain, counting its calls in a buffer.
class Scale : public nn::Layer<Scale> {
 public:
  explicit Scale(int64_t channels) {
    add_parameter("gain", ones({channels}), ParameterKind::norm);
    add_parameter("absent", Tensor());
    add_buffer("calls", zeros({1}));
  }

 protected:
  Tensor forward(const Tensor& x) override {
    if (training()) buffer("calls").add_(ones({1}, buffer("calls").dtype()));
    return x * parameter("gain");
  }
};

class Pair : public nn::Layer<Pair> {
 public:
  Pair() {
    add_child("first", nn::Sequential(nn::Linear(3, {.out_features = 4}), Scale(4)));
    add_child("second", nn::Linear(4, {.out_features = 2, .bias = false}));
  }
  std::string describe() const override { return "Pair(of two)"; }

 protected:
  Tensor forward(const Tensor& x) override { return child("second")(child("first")(x)); }
};

Names names_of(const nn::Module& module) {
  Names names;
  for (const Parameter& p : module.parameters()) names.push_back(p.name);
  return names;
}

}  // namespace

TEST_CASE("parameters and buffers are named by their path, from the module asked, in the order of registration") {
  Pair net;
  CHECK(names_of(net) == Names{"first.0.weight", "first.0.bias", "first.1.gain", "second.weight"});
  CHECK(names_of(net.module("first")) == Names{"0.weight", "0.bias", "1.gain"});
  CHECK(net.module("first.1").path() == "first.1");
  REQUIRE(net.buffers().size() == 1);
  CHECK(net.buffers()[0].first == "first.1.calls");
  auto parameters = net.parameters();
  CHECK(parameters[0].kind == ParameterKind::weight);
  CHECK(parameters[1].kind == ParameterKind::bias);
  CHECK(parameters[2].kind == ParameterKind::norm);
  CHECK(net.parameter_count() == 12 + 4 + 4 + 8);
  CHECK(has(error_of([&] { net.module("third"); }), "third"));
}

TEST_CASE("the tree prints a line a module") {
  CHECK(Pair().str() ==
        "Pair(of two)\n"
        "  first: Sequential\n"
        "    0: Linear(3 -> 4)\n"
        "    1: Scale\n"
        "  second: Linear(4 -> 2)\n");
}

TEST_CASE("names that clash, are empty or have a dot are refused") {
  struct Clash : nn::Layer<Clash> {
    explicit Clash(const std::string& name) {
      add_parameter("weight", ones({1}));
      add_buffer(name, ones({1}));
    }
    Tensor forward(const Tensor& x) override { return x; }
  };
  CHECK(has(error_of([] { Clash("weight"); }), "there is a weight already"));
  CHECK(has(error_of([] { Clash("a.b"); }), "a.b"));
  CHECK(has(error_of([] { Clash(""); }), "empty"));
  CHECK_NOTHROW(Clash("fine"));
}

TEST_CASE("train and eval touch the mode and nothing else") {
  Pair net;
  net.freeze("second.*");
  std::map<std::string, std::vector<double>> before;
  for (auto& [name, tensor] : net.state()) before[name] = tensor.to_vector<double>();
  net.eval();
  for (auto* module : net.modules()) CHECK_FALSE(module->training());
  for (auto& [name, tensor] : net.state()) CHECK(tensor.to_vector<double>() == before[name]);
  CHECK(net.module("first.0").parameters()[0].tensor.requires_grad());
  CHECK_FALSE(net.module("second").parameters()[0].tensor.requires_grad());
  net.module("first").train();
  CHECK(net.module("first.1").training());
  CHECK_FALSE(net.training());
}

TEST_CASE("a clone is independent and the same in values, mode and freezing") {
  Pair net;
  net.freeze("first.0.*");
  net.module("first.1").eval();
  nn::ModulePtr copy = net.clone();
  CHECK(names_of(*copy) == names_of(net));
  CHECK_FALSE(copy->module("first.1").training());
  CHECK(copy->training());
  Tensor x = randn({5, 3});
  std::vector<double> y = net(x).to_vector<double>();
  CHECK((*copy)(x).to_vector<double>() == y);
  auto ours = net.parameters(), theirs = copy->parameters();
  for (size_t i = 0; i < ours.size(); ++i) {
    CHECK(ours[i].tensor.requires_grad() == theirs[i].tensor.requires_grad());
    CHECK(ours[i].kind == theirs[i].kind);
    NoGrad no_grad;
    theirs[i].tensor.fill_(0);
  }
  CHECK(net(x).to_vector<double>() == y);
  CHECK(copy->module("first").path() == "first");
  copy->train();
  (*copy)(x);
  CHECK(copy->buffers()[0].second.item() == 1);
  CHECK(net.buffers()[0].second.item() == 0);
}

TEST_CASE("freezing stops gradients, and a pattern that matches nothing is an error") {
  Pair net;
  net.freeze("first.0.?eight");
  sum(net(randn({2, 3}))).backward();
  auto parameters = net.parameters();
  CHECK_FALSE(parameters[0].tensor.grad().defined());
  for (size_t i : {1, 2, 3}) CHECK(parameters[i].tensor.grad().defined());
  net.freeze("second.weight");
  CHECK_FALSE(net.module("second").parameters()[0].tensor.grad().defined());  // what had come before is gone
  std::string message = error_of([&] { net.freeze("frist.*"); });
  CHECK(has(message, "no parameter matches \"frist.*\""));
  CHECK_THROWS_AS(net.freeze("frist.*"), ConfigError);
  net.freeze("second.*");
  for (const Parameter& p : net.module("second").parameters()) CHECK_FALSE(p.tensor.grad().defined());
}

TEST_CASE("to() converts parameters and floating buffers and keeps freezing") {
  Pair net;
  net.freeze("second.weight");
  Tensor x = randn({2, 3});
  Tensor y32 = net(x);
  net.to(DType::f64);
  for (auto& [name, tensor] : net.state()) CHECK(tensor.dtype() == DType::f64);
  Tensor y64 = net(x.to(DType::f64));
  for (int64_t i = 0; i < 4; ++i)
    CHECK(y64.to_vector<double>()[size_t(i)] == doctest::Approx(y32.to_vector<double>()[size_t(i)]).epsilon(1e-5));
  CHECK(net.parameters()[0].tensor.requires_grad());
  CHECK_FALSE(net.parameters()[3].tensor.requires_grad());
  CHECK(has(error_of([&] { net.to(DType::i64); }), "i64"));
}

TEST_CASE("a state that does not fit is refused whole, with every name") {
  Pair net;
  auto state = net.clone()->state();
  std::vector<double> before = net.parameters()[0].tensor.to_vector<double>();
  state["first.0.weight"] = zeros({4, 3});
  state.erase("first.1.gain");
  state["second.weight"] = zeros({2, 5});
  state["stray"] = zeros({1});
  state["bn.num_batches_tracked"] = zeros({1});
  std::string message = error_of([&] { net.load_state(state); });
  CHECK(has(message, "missing: first.1.gain\n"));
  CHECK(has(message, "unexpected: stray\n"));
  CHECK(has(message, "second.weight [2,4] (given [2,5])"));
  CHECK(net.parameters()[0].tensor.to_vector<double>() == before);
  CHECK(has(error_of([&] { net.load_state(state, {.strict = false}); }), "second.weight"));

  state.erase("second.weight");
  net.load_state(state, {.strict = false});
  CHECK(net.parameters()[0].tensor.to_vector<double>() == std::vector<double>(12, 0));
}

TEST_CASE("files: load() gives back what save() wrote, and names the file when it does not fit") {
  std::string file = (std::filesystem::temp_directory_path() / "azimuth_module_test.safetensors").string();
  Pair net;
  Tensor x = randn({2, 3});
  net(x);  // one call, counted in a buffer
  net.save(file);
  Pair other;
  CHECK(other(x).to_vector<double>() != net(x).to_vector<double>());
  other.load(file);
  CHECK(other.buffers()[0].second.item() == 1);
  CHECK(other(x).to_vector<double>() == net(x).to_vector<double>());
  Scale small(2);
  CHECK(has(error_of([&] { small.load(file); }), file + ": load_state"));
  CHECK_THROWS_AS(small.load(file), DataError);
  std::filesystem::remove(file);
}

TEST_CASE("an undefined input is told as such, of the module that was given it") {
  const auto refusal = [](const std::string& who) { return who + ": its input is an undefined tensor; give it a value first"; };
  nn::Conv2d unbiased(3, {.out_channels = 4, .bias = false});
  nn::ReLU relu;
  Pair net;
  CHECK(error_of([&] { unbiased(Tensor()); }) == refusal("Conv2d"));
  CHECK(error_of([&] { relu(Tensor()); }) == refusal("ReLU"));
  CHECK(error_of([&] { net(Tensor()); }) == refusal("Pair"));
  struct Forgetful : nn::Layer<Forgetful> {
    Tensor forward(const Tensor&) override { return child(linear_)(Tensor()); }
    nn::Child<nn::Linear> linear_ = add_child("linear", nn::Linear(3, {.out_features = 4}));
  };
  nn::Sequential outer{nn::ReLU(), Forgetful()};
  CHECK(error_of([&] { outer(randn({2, 3})); }) == refusal("1.linear: Linear"));
}

TEST_CASE("an error starts with the path of the module it happened in, and recorded ops remember it") {
  Pair net;
  CHECK(has(error_of([&] { net(randn({2, 5})); }), "first.0: linear: "));
  Tensor y = net(randn({2, 3}));
  CHECK(op_scope(y) == "second");
  CHECK(Scope::path().empty());
}

TEST_CASE("observers see every module, outermost first, with input and output") {
  struct Log : nn::Observer {
    Names events;
    void before(const nn::Module& m, const Tensor& x) override { events.push_back("> " + m.path() + " " + x.shape().str()); }
    void after(const nn::Module& m, const Tensor& x, const Tensor& y) override {
      events.push_back("< " + m.path() + " " + x.shape().str() + " " + y.shape().str());
    }
  };
  Pair net;
  Log outer, inner;
  {
    nn::Observe observe_outer(outer);
    {
      nn::Observe observe_inner(inner);
      net(randn({2, 3}));
    }
    net.module("second")(randn({7, 4}));
  }
  net(randn({2, 3}));
  CHECK(inner.events == Names{">  [2,3]", "> first [2,3]", "> first.0 [2,3]", "< first.0 [2,3] [2,4]", "> first.1 [2,4]",
                              "< first.1 [2,4] [2,4]", "< first [2,3] [2,4]", "> second [2,4]", "< second [2,4] [2,2]",
                              "<  [2,3] [2,2]"});
  CHECK(outer.events.size() == inner.events.size() + 2);
  CHECK(outer.events.back() == "< second [7,4] [7,2]");
}
