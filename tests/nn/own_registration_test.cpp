// What cannot be registered, when it is too late to, and modules that were moved or are copied as another class.
#include <doctest/doctest.h>

#include <functional>
#include <stdexcept>

#include "core/autograd/autograd.h"
#include "core/ops/elementwise.h"
#include "core/tensor/create.h"
#include "nn/layers/activations.h"
#include "nn/layers/linear.h"
#include "nn/layers/sequential.h"
#include "nn/layers/weight_norm.h"
#include "nn/summary.h"
#include "tests/compare.h"
#include "tests/nn/own_layer.h"

using namespace az;
using nn::Linear;
using test::error_of;
using test::has;
using test::Own;

namespace {

const Tensor x = full({4, 3}, 0.5);

}  // namespace

TEST_CASE("registration: what cannot be registered is refused, naming layer and name") {
  Own net;
  CHECK(error_of([&] { net.add_child("fc", nn::ModulePtr()); }) == "Own: the child \"fc\" is null");
  for (const auto& [name, why] : std::vector<std::pair<std::string, std::string>>{{"", "it is empty"},
                                                                                  {"a.b", "it has a \".\""},
                                                                                  {"a/b", "it has a \"/\""},
                                                                                  {"a\n", "it has a control character"},
                                                                                  {"\xff", "it is not UTF-8"}}) {
    CHECK(has(error_of([&, &n = name] { net.add_parameter(n, ones({1})); }), why));
    CHECK(has(error_of([&, &n = name] { net.add_buffer(n, ones({1})); }), why));
    CHECK(has(error_of([&, &n = name] { net.add_child(n, nn::ReLU()); }), why));
  }
  CHECK(has(error_of([&] { net.add_buffer("__metadata__", ones({1})); }), "\"__metadata__\" cannot be a name"));
  net.add_parameter("w", ones({1}));
  CHECK(error_of([&] { net.add_child("w", nn::ReLU()); }) == "Own: there is a w already");
  CHECK(error_of([&] { net.add_parameter("i", Tensor::of<int64_t>({1}, {1})); }).starts_with("Own: parameter \"i\": "));
  CHECK(error_of([&] { net.add_parameter("made", ones({1}) * net.parameter("w")); }).starts_with("Own: parameter \"made\": "));
  CHECK(error_of([&] { net.add_buffer("b", net.parameter("w")); }).starts_with("Own: buffer \"b\" (f32 [1]) needs a gradient"));
  CHECK(net.state().size() == 1);
  CHECK(error_of([] { nn::WeightNorm(nullptr); }) == "weight_norm: the layer to wrap is null");
}

TEST_CASE("registration: a module has one place") {
  auto* fc = new Linear(3, {.out_features = 2});
  Own one, two;
  one.add_child("fc", nn::ModulePtr(fc));
  CHECK(error_of([&] { two.add_child("other", nn::ModulePtr(fc)); }) ==
        "Own: the child \"other\" is registered already, as \"fc\"; give each layer one of its own, as by clone()");
  CHECK(two.modules().size() == 1);
  CHECK(error_of([&] { two.add_child("other", one.module("fc").clone()); }) == "no error");
}

TEST_CASE("registration: in forward, or after a forward for a gradient, it would come too late for the optimizer") {
  Own lazy([](Own& self, const Tensor& in) {
    self.add_child("fc", Linear(3, {.out_features = 2}));
    return self.child("fc")(in);
  });
  CHECK(error_of([&] {
          lazy(x);
        }).starts_with("Own: \"fc\" is registered in forward; an optimizer made before would not know of it. "));
  nn::Sequential grown;
  grown.append(std::make_unique<Linear>(3, nn::LinearOptions{.out_features = 2}));
  {
    NoGrad no_grad;
    grown(x);  // as to find out the shape
  }
  grown.append(std::make_unique<nn::ReLU>());
  grown(x);
  const auto more = [](nn::Sequential& net) { return error_of([&] { net.append(std::make_unique<nn::ReLU>()); }); };
  CHECK(more(grown).starts_with("Sequential: \"2\" is registered after a forward for a gradient; "));
  nn::Sequential copy = grown;
  CHECK(more(copy) == "no error");
}

TEST_CASE("a module that was moved from says so") {
  Linear from(3, {.out_features = 2});
  const Linear to = std::move(from);
  CHECK(error_of([&] { from(x); }) == "Linear: it was moved to another module, and is empty");
  CHECK(error_of([&] { Own().add_child("fc", std::move(from)); }) == "Own: the child \"fc\" was moved from");
  CHECK(error_of([&] { from.describe(); }) == "Linear: no parameter weight");
  // Out of a tree: its names count from where it is now.
  Own net;
  net.add_child("body", nn::Sequential(Linear(3, {.out_features = 2})));
  auto& body = dynamic_cast<nn::Sequential&>(net.module("body"));
  nn::Sequential out = std::move(body);
  CHECK(out.parameters()[0].name == "0.weight");
  CHECK(out.module("0").path() == "0");
  CHECK(has(error_of([&] { body(x); }), "Sequential: it was moved to another module, and is empty"));
}

TEST_CASE(
    "a class derived from a layer without a clone() of its own, or with one of another class, is refused as it is copied") {
  struct Doubled : Linear {
    using Linear::Linear;
    Tensor forward(const Tensor& in) override { return Linear::forward(in) * 2; }
  };
  Doubled doubled(3, nn::LinearOptions{.out_features = 2});
  CHECK(error_of([&] { doubled.clone(); }) ==
        "Doubled derives from Linear, whose clone() would leave out what Doubled adds; derive it from nn::Layer<Doubled, "
        "Linear>");
  struct Wrong : nn::Module {
    bool null = false;
    nn::ModulePtr clone() const override { return null ? nullptr : std::make_unique<nn::ReLU>(); }
    Tensor forward(const Tensor& in) override { return in; }
  };
  for (bool null : {false, true}) {
    Own net;
    auto wrong = std::make_unique<Wrong>();
    wrong->null = null;
    net.add_child("wrong", std::move(wrong));
    CHECK(error_of([&] { net.clone(); }) ==
          std::string("Own: clone() of its child \"wrong\" gave ") + (null ? "null" : "ReLU") + " instead of Wrong");
  }
}

TEST_CASE("a value that was never given is named where it is used") {
  const auto said = [](const std::function<void(Own&)>& add, const Own::Function& f) {
    Own own(f);
    add(own);
    return error_of([&] { nn::Sequential{nn::ReLU(), own}(x); });
  };
  const std::string start = "1: tensor: an undefined tensor was used; give it a value first; Own registers without a value: ";
  CHECK(said([](Own& own) { own.add_parameter("scale", Tensor()); },
             [](Own& own, const Tensor& y) { return y * own.parameter("scale"); }) == start + "parameter \"scale\"");
  CHECK(said(
            [](Own& own) {
              own.add_parameter("unused", Tensor());
              own.add_parameter("fine", ones({3}));
              own.add_buffer("mean", Tensor());
            },
            [](Own& own, const Tensor& y) { return y - own.buffer("mean"); }) ==
        start + "parameter \"unused\", buffer \"mean\"");
  CHECK(said([](Own&) {}, [](Own&, const Tensor& y) { return y * Tensor(); }) ==
        "1: tensor: an undefined tensor was used; give it a value first");
}

TEST_CASE("what a layer throws as it says what it is is told of it, not of who asks") {
  struct Mute : nn::Layer<Mute> {
    explicit Mute(bool given) : counts(given) {}
    std::string describe() const override { return counts ? "Mute" : throw std::runtime_error("no words"); }
    int64_t multiply_adds(const Shape&, const Shape&) const override { throw 4; }
    Tensor forward(const Tensor& y) override { return y; }
    bool counts;
  };
  const auto said = [](bool counts) {
    return error_of([&] {
      nn::Sequential net{nn::ReLU(), Mute(counts)};
      nn::summarize(net, {4, 3});
    });
  };
  CHECK(said(false) == "1: Mute: describe: no words");
  CHECK(said(true) == "1: Mute: multiply_adds: threw a value of type int");
}
