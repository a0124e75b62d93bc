#include <doctest/doctest.h>

#include "core/autograd/autograd.h"
#include "core/autograd/scale_dependence.h"
#include "core/ops.h"
#include "tests/compare.h"

using namespace az;
using test::error_of;
using Values = std::vector<double>;

namespace {

Tensor leaf(const Values& values) { return Tensor::of<double>({int64_t(values.size())}, values).set_requires_grad(); }
Values values(const Tensor& t) { return t.to_vector<double>(); }

const char* const freed =
    "square: backward: its saved tensors were freed by an earlier backward(); pass {.retain_graph = true} to that one to go "
    "through twice";

// x^2, with something that happens inside its gradient.
Tensor square(const Tensor& x, std::function<void()> inside) {
  return record("square", x.detach() * x.detach(), {x}, saved(x), ByKernel{[inside = std::move(inside)](const Back& k) {
                  inside();
                  return Grads{k.g * k.saved[0] * 2};
                }});
}

}  // namespace

TEST_CASE("autograd: a graph whose gradient threw is spent, and says so, unless it was to be retained") {
  Tensor x = leaf({3});
  bool broken = true;
  Tensor y = square(x, [&] {
    if (broken) fail("not today");
  });
  CHECK(error_of([&] { y.backward({.retain_graph = true}); }) == "square: backward: not today");
  CHECK(error_of([&] { y.backward(); }) == "square: backward: not today");
  broken = false;
  CHECK(error_of([&] { y.backward(); }) == freed);
  CHECK(!x.grad().defined());
}

TEST_CASE("autograd: a backward pass inside a gradient, over the same graph, finds it spent") {
  Tensor x = leaf({3}), y;
  std::string inside;
  y = square(x, [&] {
    if (inside.empty()) inside = error_of([&] { y.backward(); });
  });
  y.backward();
  CHECK(inside == freed);
  CHECK(values(x.grad()) == Values{6});
  y = {};
}

TEST_CASE("autograd: grad() between leaves") {
  Tensor a = leaf({3}), b = leaf({4});
  CHECK(values(grad(a, {a})[0]) == Values{1});
  auto none = grad(a, {b});
  CHECK(!none[0].defined());
  auto both = grad(a, {b, a, b});
  CHECK(!both[0].defined());
  CHECK(values(both[1]) == Values{1});
  CHECK(!a.grad().defined());
}

TEST_CASE("autograd: a hook may not change a gradient's shape or number type") {
  for (bool at_leaf : {true, false}) {
    CAPTURE(at_leaf);
    auto with = [&](Tensor::Hook hook) {
      Tensor x = leaf({1, 2}), y = x * x;
      (at_leaf ? x : y).register_hook(std::move(hook));
      return error_of([&] { sum(y).backward(); });
    };
    CHECK(with([](const Tensor&) { return ones({3}, DType::f64); }) == "hook: returned f64 [3] for a gradient of f64 [2]");
    CHECK(with([](const Tensor& g) { return g.to(DType::f32); }) == "hook: returned f32 [2] for a gradient of f64 [2]");
    CHECK(with([](const Tensor& g) { return g.reshape({1, 2}); }) == "hook: returned f64 [1,2] for a gradient of f64 [2]");
    CHECK(with([](const Tensor& g) { return g * 2; }) == "no error");
  }
}

TEST_CASE("autograd: hooks that hold one another's tensors are released without recursion") {
  const size_t before = memory_stats().in_use;
  {
    Tensor x = leaf({1}), y = x * 1;
    for (int i = 0; i < 200'000; ++i) {
      Tensor next = x * 1;
      next.register_hook([held = y](const Tensor&) { return Tensor(); });
      y = next;
    }
  }
  CHECK(memory_stats().in_use == before);
}

TEST_CASE("autograd: bf16 gradients of a value used more than once are added up") {
  Tensor x = Tensor::of<bf16>({2}, {bf16(1), bf16(2)}).set_requires_grad();
  Tensor y = x * 2;
  sum(y * y + y * 4 + y).backward();  // dy = 2 y + 5
  CHECK(values(x.grad()) == Values{18, 26});
  sum(x * 3).backward();
  CHECK(values(x.grad()) == Values{21, 29});
  y = x * 2;
  CHECK(values(grad(sum(y * y * y), {x})[0]) == Values{24, 96});
}

TEST_CASE("autograd: what asks an undefined tensor about its past says which function it was") {
  const auto refusal = [](const char* function) {
    return std::string(function) + ": the tensor is undefined; give it a value first";
  };
  CHECK(error_of([] { op_name(Tensor()); }) == refusal("op_name"));
  CHECK(error_of([] { op_scope(Tensor()); }) == refusal("op_scope"));
  CHECK(error_of([] { has_hooks(Tensor()); }) == refusal("has_hooks"));
  CHECK(error_of([] { leaf_uses(Tensor(), 0); }) == refusal("leaf_uses"));
  const std::string dependence = "scale_dependence: a tensor is undefined; give it a value first";
  CHECK(error_of([] { scale_dependence(Tensor(), leaf({1})); }) == dependence);
  CHECK(error_of([] { scale_dependence(leaf({1}), Tensor()); }) == dependence);
  for (const auto& use : std::vector<std::function<void()>>{
           [] { Tensor().backward(); }, [] { grad(Tensor(), {leaf({1})}); }, [] { grad(leaf({1}), {Tensor()}); },
           [] { Tensor().set_requires_grad(); }, [] { Tensor().register_hook([](const Tensor& g) { return g; }); },
           [] { Tensor().set_grad({}); },
           [] { record("op", Tensor(), {leaf({1})}, saved(), ByOps{[](const Back& k) { return Grads{k.g}; }}); }})
    CHECK(error_of(use).find("undefined") != std::string::npos);
}
