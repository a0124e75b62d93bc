// Layers of one's own: what the natural style is, and what is refused because it would go wrong in silence.
#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "core/autograd/autograd.h"
#include "core/base/random.h"
#include "core/ops/activations.h"
#include "core/ops/elementwise.h"
#include "core/ops/matmul.h"
#include "core/ops/reduce.h"
#include "core/tensor/create.h"
#include "nn/layers/activations.h"
#include "nn/layers/batch_norm.h"
#include "nn/layers/dropout.h"
#include "nn/layers/linear.h"
#include "nn/layers/sequential.h"
#include "tests/compare.h"
#include "tests/nn/own_layer.h"

using namespace az;
using nn::Linear;
using test::error_of;
using test::has;
using test::Own;

namespace {

std::vector<double> values(const Tensor& t) { return t.to_vector<double>(); }

// The style that nn/README.md shows: handles as members, one of them empty, some in a list.
class Mlp : public nn::Layer<Mlp> {
 public:
  explicit Mlp(bool with_bias = false) {
    for (int i = 0; i < 2; ++i) hidden_.push_back(add_child("hidden" + std::to_string(i), Linear(3, {.out_features = 3})));
    if (with_bias) shift_ = add_child("shift", Linear(3, {.out_features = 2}));
  }
  Tensor features(const Tensor& x) { return relu(child(hidden_[1])(relu(child(hidden_[0])(x)))); }

 protected:
  Tensor forward(const Tensor& x) override {
    const Tensor y = child(out_)(features(x));
    return shift_ ? y + child(shift_)(x) : y;
  }

 private:
  nn::Child<Linear> out_ = add_child("out", Linear(3, {.out_features = 2}));
  std::vector<nn::Child<Linear>> hidden_;
  nn::Child<Linear> shift_;
};

const Tensor x = full({4, 3}, 0.5);

// What is said when `net` runs x for a gradient, and under NoGrad, which must be the same.
std::string complaint(nn::Module& net) {
  const std::string with_gradient = error_of([&] { net(x); });
  const NoGrad no_grad;
  CHECK(error_of([&] { net(x); }) == with_gradient);
  return with_gradient;
}

}  // namespace

TEST_CASE("a child is kept as a handle, which means the copy's own child in a copy") {
  seed_random(3);
  for (bool with_shift : {false, true}) {
    auto net = std::make_unique<Mlp>(with_shift);
    nn::ModulePtr copy = net->clone();
    Mlp by_value = *net, moved = std::move(by_value);
    const auto before = values((*net)(x));
    for (nn::Module* other : {copy.get(), static_cast<nn::Module*>(&moved)}) {
      CHECK(values((*other)(x)) == before);
      const NoGrad no_grad;
      for (const Parameter& p : other->parameters()) p.tensor.fill_(0);
      CHECK(values((*other)(x)) == std::vector<double>(8, 0));
    }
    CHECK(values((*net)(x)) == before);
    CHECK(values(net->features(x)).size() == 12);  // outside of forward, too
    net.reset();
    CHECK(values((*copy)(x)) == std::vector<double>(8, 0));
    CHECK(copy->parameters().size() == (with_shift ? 8 : 6));
  }
  static_assert(!std::is_convertible_v<nn::Child<Linear>, Linear&> && !std::is_pointer_v<nn::Child<Linear>>);
  static_assert(std::is_trivially_copyable_v<nn::Child<Linear>>);
}

TEST_CASE("a handle of another module, or an empty one, is refused") {
  Own one, two;
  const auto fc = one.add_child("fc", Linear(3, {.out_features = 2}));
  two.add_child("fc", Linear(3, {.out_features = 2}));
  CHECK(&one.child(fc) == &one.module("fc"));
  CHECK(error_of([&] { two.child(fc); }) == "Own: a Child was asked for that another module's add_child() gave");
  CHECK(error_of([&] { Own().child(fc); }) == "Own: a Child was asked for that another module's add_child() gave");
  CHECK(error_of([&] { one.child(nn::Child<Linear>()); }) == "Own: a Child is empty: add_child() gave it nothing");
  CHECK(error_of([&] { one.child("fd"); }) == "Own: no child fd");
}

TEST_CASE("a layer that was not registered is an error at the first forward, naming both") {
  struct Plain : nn::Layer<Plain> {
    Tensor forward(const Tensor& in) override { return fc(in); }
    Linear fc{3, {.out_features = 2}};
  } plain;
  const std::string refusal =
      "Plain runs Linear, which was not registered with it, so that its weight, bias would not be trained, saved or copied; "
      "keep "
      "the nn::Child<Linear> that add_child(\"name\", ...) gives as a member, and run child(member)(x). One that is to stay as "
      "it is, eval(), and freeze it or run it under NoGrad";
  CHECK(complaint(plain) == refusal);
  Own outer;
  outer.add_child("inner", Plain());
  CHECK(error_of([&] { outer.module("inner")(x); }) == "inner: " + refusal);

  // State that is not trained gets lost as well.
  struct Statistics : nn::Layer<Statistics> {
    Tensor forward(const Tensor& in) override { return norm(in); }
    nn::BatchNorm1d norm{3, {.affine = false}};
  } statistics;
  CHECK(complaint(statistics)
            .starts_with("Statistics runs BatchNorm1d, which was not registered with it, so that its "
                         "running_mean, running_var would not be"));
  // Frozen or under NoGrad, too, a batch norm in training changes its statistics; in evaluation it does not.
  for (const bool frozen : {false, true}) {
    CAPTURE(frozen);
    auto norm = std::make_shared<nn::BatchNorm1d>(3);
    if (frozen) norm->freeze("*");
    Own net([norm, frozen](Own&, const Tensor& in) {
      if (frozen) return (*norm)(in);
      const NoGrad no_grad;
      return (*norm)(in);
    });
    CHECK(complaint(net).starts_with(
        "Own runs BatchNorm1d, which was not registered with it, so that its weight, bias, running_mean, ... would not be"));
    CHECK(values(norm->buffers()[0].second) == std::vector<double>(3, 0));
    norm->eval();
    CHECK(complaint(net) == "no error");
  }
}

TEST_CASE("a layer without state need not be registered: it takes the mode of who runs it") {
  struct Plain : nn::Layer<Plain> {
    Tensor forward(const Tensor& in) override { return relu(dropout(in)); }
    nn::Dropout dropout{{.probability = 0.5}};
    nn::ReLU relu;
  } plain;
  seed_random(1);
  const Tensor ones_in = ones({1000});
  CHECK(values(plain(ones_in)) != values(ones_in));
  plain.eval();
  CHECK(values(plain(ones_in)) == values(ones_in));
  plain.train();
  CHECK(values(plain(ones_in)) != values(ones_in));
  // Under a NoGrad of its own, too, and a whole tree.
  struct Quiet : nn::Layer<Quiet> {
    Tensor forward(const Tensor& in) override {
      const NoGrad no_grad;
      return drop(in);
    }
    nn::Sequential drop{nn::Dropout({.probability = 0.5})};
  } quiet;
  const nn::ModulePtr copy = quiet.clone();
  for (nn::Module* net : {static_cast<nn::Module*>(&quiet), copy.get()}) {
    CHECK(values((*net)(ones_in)) != values(ones_in));
    net->eval();
    CHECK(values((*net)(ones_in)) == values(ones_in));
    net->train();
    CHECK(values((*net)(ones_in)) != values(ones_in));
  }
}

TEST_CASE("a frozen teacher, and one under NoGrad, is nobody's mistake") {
  auto teacher = std::make_shared<nn::Sequential>(Linear(3, {.out_features = 3}), nn::BatchNorm1d(3));
  teacher->eval();
  Own under_no_grad([teacher](Own&, const Tensor& in) {
    NoGrad no_grad;
    return (*teacher)(in);
  });
  CHECK(complaint(under_no_grad) == "no error");
  Own frozen([teacher](Own&, const Tensor& in) { return (*teacher)(in); });
  CHECK(has(complaint(frozen),
            "Own runs Sequential, which was not registered with it, so that its 0.weight, 0.bias, 1.weight, ..."));
  teacher->freeze("*");
  CHECK(complaint(frozen) == "no error");
  CHECK_FALSE(teacher->training());  // its mode is its owner's to set
  // Observers are not part of the forward that they watch.
  struct Compare : nn::Observer {
    Linear other{3, {.out_features = 2}};
    void after(const nn::Module&, const Tensor& in, const Tensor&) override { other(in); }
  } compare;
  nn::Observe observe(compare);
  CHECK(complaint(frozen) == "no error");
}

TEST_CASE("a pointer to a child of one's own is found out in the copy, which would run the original's") {
  struct Kept : nn::Layer<Kept> {
    Kept() {
      add_child("fc", Linear(3, {.out_features = 2}));
      fc = &child("fc");
    }
    Tensor forward(const Tensor& in) override { return (*fc)(in); }
    nn::Module* fc;
  } kept;
  CHECK(complaint(kept) == "no error");
  const nn::ModulePtr copy = kept.clone();
  CHECK(
      complaint(*copy) ==
      "Kept uses Linear \"fc\", of another network: to a copy of Kept, a pointer, a reference or a captured `this` still means "
      "the original's; keep the nn::Child<Linear> that add_child(\"name\", ...) gives as a member, and run child(member)(x). "
      "One "
      "that is to stay as it is, eval(), and freeze it or run it under NoGrad");
}

TEST_CASE("a pointer to a child without state is found out in the copy, which would change the original's mode") {
  struct Kept : nn::Layer<Kept> {
    Kept() {
      add_child("drop", nn::Dropout({.probability = 0.5}));
      drop = &child("drop");
    }
    Tensor forward(const Tensor& in) override { return (*drop)(in); }
    nn::Module* drop;
  } kept;
  kept.eval();
  CHECK(complaint(kept) == "no error");
  const nn::ModulePtr copy = kept.clone();
  copy->train();
  CHECK(complaint(*copy).starts_with("Kept uses Dropout \"drop\", of another network: to a copy of Kept, a pointer,"));
  CHECK_FALSE(kept.module("drop").training());
  CHECK(values(kept(x)) == values(x));
}

TEST_CASE("a class derived from Sequential runs its children in the order of registration, whatever their names") {
  struct Net : nn::Layer<Net, nn::Sequential> {
    Net() {
      add_child("fc", Linear(3, {.out_features = 2}));
      append(std::make_unique<nn::BatchNorm1d>(2));
      add_child("act", nn::ReLU());
    }
  } net;
  net.eval();
  CHECK(net.str() == "Sequential\n  fc: Linear(3 -> 2)\n  1: BatchNorm1d(2)\n  act: ReLU\n");
  const std::vector<double> one_by_one = values(net.module("act")(net.module("1")(net.module("fc")(x))));
  CHECK(one_by_one.size() == 8);
  const nn::ModulePtr copy = net.clone();
  for (nn::Module* either : {static_cast<nn::Module*>(&net), copy.get()}) {
    const NoGrad no_grad;
    CHECK(values((*either)(x)) == one_by_one);
  }
}

TEST_CASE("a lambda that captured `this` is found out in the copy: of children, parameters and buffers") {
  for (const int what : {0, 1, 2}) {
    CAPTURE(what);
    Own net([](Own& self, const Tensor& in) { return self.child("act")(in); });
    net.add_child("fc", Linear(3, {.out_features = 2}));
    net.add_parameter("scale", ones({3}));
    net.add_buffer("shift", ones({3}));
    net.add_child("act", Own([&net, what](Own&, const Tensor& in) {
                    if (what == 0) return net.child("fc")(in);
                    return what == 1 ? in * net.parameter("scale") : in + net.buffer("shift");
                  }));
    CHECK(complaint(net) == "no error");
    const nn::ModulePtr copy = net.clone();
    CHECK(
        has(complaint(*copy), "of another network: to a copy of Own, a pointer, a reference or a captured `this` still means"));
  }
}

TEST_CASE("a tensor that needs a gradient and is no parameter is an error at the first forward for one, naming op and module") {
  const Tensor stray = ones({3}).set_requires_grad();
  Own inner([stray](Own&, const Tensor&in) { return in * stray; }),
      net([](Own&self, const Tensor&in) { return self.child("inner")(in); });
  net.add_child("inner", std::move(inner));
  const std::string refusal =
      "inner: mul: takes f32 [3], which needs a gradient and is no parameter of Own: nothing would train, save or copy it. In "
      "a "
      "layer, add_parameter() it in the constructor and take parameter(name) in forward, as a member is not followed by "
      "clone() "
      "and to(); an input, clone() before the call";
  CHECK(error_of([&] { net(x); }) == refusal);
  CHECK(error_of([&] { net(x); }) == refusal);

  // A forward that fails first changes nothing: the next is looked at, and what it lacked may be registered.
  bool fails = true;
  Own late([stray, &fails](Own& self, const Tensor& in) {
    if (fails) fail("not yet");
    return in * stray * self.parameter("scale");
  });
  CHECK(error_of([&] { late(x); }) == "not yet");
  CHECK(error_of([&] { late.add_parameter("scale", ones({3})); }) == "no error");
  fails = false;
  CHECK(has(error_of([&] { late(x); }), "mul: takes f32 [3], which needs a gradient and is no parameter of Own"));
  CHECK(error_of([&] { late.add_parameter("more", ones({3})); }) == "no error");

  // An input may need a gradient, and so may what it was made of.
  Own plain;
  plain.add_child("fc", Linear(3, {.out_features = 2}));
  CHECK(error_of([&] { plain(x.clone().set_requires_grad()); }) == "no error");
  const Tensor prompt = ones({3}).set_requires_grad(), made = prompt.clone();
  Own conditioned([made](Own&, const Tensor& in) { return in + made; });
  CHECK(error_of([&] { conditioned(x * prompt); }) == "no error");
}

TEST_CASE("a tensor kept in a member beside its registration is found out: by clone(), in a copy, after to()") {
  struct Kept : nn::Layer<Kept> {
    explicit Kept(bool as_buffer) : tensor(ones({3})) {
      as_buffer ? add_buffer("scale", tensor) : add_parameter("scale", tensor);
    }
    Tensor forward(const Tensor& in) override { return in * tensor.to(in.dtype()); }
    Tensor tensor;
  };
  for (bool as_buffer : {false, true}) {
    Kept kept(as_buffer);
    kept(x);
    CHECK(error_of([&] { kept.clone(); }) ==
          "Kept: a member keeps the tensor of \"scale\", which a copy would share with its original; take it by "
          "parameter(name) or "
          "buffer(name) in forward instead");
    CHECK(error_of([&] { nn::Sequential(Kept(as_buffer)).clone(); }).starts_with("0: Kept: a member keeps the tensor of"));
  }
  Kept kept(false), copy = kept;
  CHECK(has(error_of([&] { copy(x); }), "mul: takes f32 [3], which needs a gradient and is no parameter of Kept"));
  kept(x);
  kept.to(DType::f64);
  CHECK(has(error_of([&] { kept(x.to(DType::f64)); }), "takes f32 [3], which needs a gradient and is no parameter of Kept"));
  // Others may hold the tensors: optimizers do, and for a moment a thread that evaluates.
  Mlp net;
  const auto held = net.parameters();
  const auto state = net.state();
  CHECK(error_of([&] { net.clone(); }) == "no error");
  std::atomic<bool> done = false;
  std::thread holding([&] {
    while (!done) {
      std::vector<Tensor> handles;
      for (const auto& [name, tensor] : state) handles.push_back(tensor);
    }
  });
  int refused = 0;
  for (int i = 0; i < 300; ++i) refused += error_of([&] { net.clone(); }) != "no error";
  done = true;
  holding.join();
  CHECK(refused == 0);
}

TEST_CASE("a hook on a parameter, which a copy would lose, is found out by clone() and to()") {
  Own net([](Own& self, const Tensor& in) { return in * self.parameter("scale"); });
  net.add_parameter("scale", ones({3}));
  net.parameters()[0].tensor.register_hook([](const Tensor& g) { return g * 2; });
  const std::string refusal =
      "Own: the parameter \"scale\" has a hook, which its copy would not have; in forward, give it to a tensor made there, "
      "such "
      "as "
      "parameter(name).clone()";
  CHECK(error_of([&] { net.clone(); }) == refusal);
  CHECK(error_of([&] { net.to(DType::f64); }) == refusal);
  sum(net(x)).backward();
  CHECK(values(net.parameters()[0].tensor.grad()) == std::vector<double>(3, 4));
  // As the remedy says.
  Own hooked([](Own& self, const Tensor& in) {
    const Tensor scale = self.parameter("scale").clone();
    if (scale.requires_grad()) scale.register_hook([](const Tensor& g) { return g * 2; });
    return in * scale;
  });
  hooked.add_parameter("scale", ones({3}));
  const nn::ModulePtr copy = hooked.clone();
  sum((*copy)(x)).backward();
  CHECK(values(copy->parameters()[0].tensor.grad()) == std::vector<double>(3, 4));
}

TEST_CASE("two names for one tensor are an error at the first forward for a gradient") {
  const Tensor shared = ones({3, 3});
  Own net([](Own& self, const Tensor& in) { return matmul(matmul(in, self.parameter("a")), self.parameter("b")); });
  net.add_parameter("a", shared);
  net.add_parameter("b", shared);
  CHECK(error_of([&] { net(x); }) == "Own: \"a\" and \"b\" are one tensor, which a copy would make two of");
}

TEST_CASE("what forward and observers throw starts with the module's path, and keeps its exit code") {
  const auto say = [&](Own::Function f) {
    Own root([](Own& self, const Tensor& in) { return self.child("layer1")(in); });
    root.add_child("layer1", Own(std::move(f)));
    return error_of([&] { root(x); });
  };
  CHECK(say([](Own&, const Tensor&) -> Tensor { throw std::out_of_range("index 3"); }) == "layer1: Own: index 3");
  CHECK(say([](Own&, const Tensor&) -> Tensor { throw 42; }) == "layer1: Own: threw a value of type int");
  CHECK(say([](Own&, const Tensor&) -> Tensor { throw Error("bad input"); }) == "layer1: bad input");
  CHECK(say([](Own&, const Tensor& in) { return in + ones({7}); }).starts_with("layer1: add: "));
  CHECK(say([](Own&, const Tensor&) { return Tensor(); }) == "layer1: Own: forward gave an undefined tensor");
  Own root([](Own&, const Tensor&) -> Tensor { throw DataError("gone"); });
  CHECK_THROWS_WITH_AS(root(x), "gone", DataError);
  Own alone([](Own&, const Tensor&) -> Tensor { throw std::runtime_error("no"); });
  CHECK(error_of([&] { alone(x); }) == "Own: no");

  struct Watch : nn::Observer {
    void after(const nn::Module&, const Tensor&, const Tensor&) override { throw std::runtime_error("seen enough"); }
  } watch;
  nn::Observe observe(watch);
  CHECK(say([](Own&, const Tensor& in) { return in; }) == "layer1: observer Watch: seen enough");
}
