// What an op of one's own can get wrong in its gradient.
#include <doctest/doctest.h>

#include <stdexcept>

#include "core/autograd/autograd.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/tensor/create.h"
#include "core/tensor/parameter.h"
#include "tests/compare.h"

using namespace az;
using test::error_of;
using Function = std::function<Grads(const Back&)>;

namespace {

Tensor values(std::vector<double> all) { return Tensor::of<double>({int64_t(all.size())}, all); }
Tensor leaf(std::vector<double> all) { return values(std::move(all)).set_requires_grad(); }

// What backward() says of y = x s, in the module "fc", whose gradient is `gradient`; with_result: it asked for its result.
std::string complaint(const Function& gradient, bool with_result = false, const Tensor& scale = values({2, 3})) {
  const Tensor x = leaf({1, 2});
  Tensor y;
  {
    const std::string path = "fc";
    const Scope scope(path);
    Saved kept = saved(x, scale);
    if (with_result) kept = std::move(kept).and_result();
    y = record("stretch", values({2, 6}), {x, scale}, std::move(kept), ByOps{gradient});
  }
  return error_of([&] { sum(y).backward(); });
}

}  // namespace

TEST_CASE("own gradients: saved, needs and result beyond what there is name the op, and what to do") {
  CHECK(complaint([](const Back& k) { return Grads{k.g * k.saved[1], Tensor()}; }) == "no error");
  CHECK(complaint([](const Back& k) {
          return Grads{k.g * k.saved[2], Tensor()};
        }) == "fc: stretch: backward: the gradient asks for saved[2], and the op kept 2 tensors with saved(...)");
  CHECK(complaint([](const Back& k) { return Grads{k.saved[size_t(-1)], Tensor()}; }).starts_with("fc: stretch: backward: "));
  CHECK(complaint([](const Back& k) {
          return Grads{k.g, k.needs(2) ? k.g : Tensor()};
        }) == "fc: stretch: backward: the gradient asks for needs(2), and the op has 2 inputs");
  CHECK(
      complaint([](const Back& k) {
        return Grads{k.g * k.result, Tensor()};
      }) ==
      "fc: stretch: backward: tensor: an undefined tensor was used; give it a value first; undefined in this gradient: result, which "
      "saved(...).and_result() keeps");
  CHECK(complaint([](const Back& k) {
          return Grads{zeros(k.result.shape(), DType::f64), Tensor()};
        }).ends_with("result, which saved(...).and_result() keeps"));
  CHECK(complaint([](const Back& k) { return Grads{k.g * k.result, Tensor()}; }, true) == "no error");
  CHECK(complaint(
            [](const Back& k) {
              return Grads{k.g + k.g_more, Tensor()};
            },
            true)
            .ends_with("undefined in this gradient: g_more, without which the gradient is g alone"));
  CHECK(
      complaint(
          [](const Back& k) {
            return Grads{k.g * k.saved[1], Tensor()};
          },
          true, Tensor()) ==
      "fc: stretch: backward: tensor: an undefined tensor was used; give it a value first; undefined in this gradient: saved[1]");
}

TEST_CASE("own gradients: too few, too many, undefined, of another shape or number type") {
  const std::string start = "fc: stretch: backward: ";
  CHECK(complaint([](const Back& k) { return Grads{k.g}; }) == start + "the gradient returned 1 tensors for 2 inputs");
  CHECK(complaint([](const Back& k) {
          return Grads{k.g, k.g, k.g};
        }) == start + "the gradient returned 3 tensors for 2 inputs");
  CHECK(complaint([](const Back&) {
          return Grads{Tensor(), Tensor()};
        }) == start + "gradient 0 is undefined, and that input needs one; return zeros where it is zero");
  CHECK(complaint([](const Back& k) {
          return Grads{k.g.to(DType::f32), Tensor()};
        }) == start + "gradient 0 is f32 [2], the input was f64 [2]");
  CHECK(complaint([](const Back&) {
          return Grads{ones({3}, DType::f64), Tensor()};
        }) == start + "gradient 0 is f64 [3], the input was f64 [2]");
  // What is given for an input that needs none is not looked at.
  CHECK(complaint([](const Back& k) { return Grads{k.g, ones({7})}; }) == "no error");
}

TEST_CASE("own gradients: what is thrown says which op's gradient it was, and where that ran") {
  const std::string start = "fc: stretch: backward: ";
  CHECK(complaint([](const Back&) -> Grads { throw std::out_of_range("index 3"); }) == start + "index 3");
  CHECK(complaint([](const Back&) -> Grads { throw 42; }) == start + "threw a value of type int");
  CHECK(complaint([](const Back&) -> Grads { throw Error("broken"); }) == start + "broken");
  CHECK(complaint([](const Back& k) { return Grads{k.g + ones({3}, DType::f64), Tensor()}; }).starts_with(start + "add: "));
  CHECK_THROWS_WITH_AS(
      sum(record("op", values({1}), {leaf({1})}, saved(), ByOps{[](const Back&) -> Grads { throw DataError("gone"); }}))
          .backward(),
      "op: backward: gone", DataError);
}

TEST_CASE("own gradients: tensors that others use, too, may not be changed in place") {
  const std::string refusal =
      "fc: stretch: backward: the gradient changed in place what it was given (g, saved or result), which others use too; "
      "clone() "
      "it first";
  for (int which = 0; which < 3; ++which) {
    CHECK(complaint(
              [which](const Back& k) {
                const Tensor& t = which == 0 ? k.saved[0] : which == 1 ? k.saved[1] : k.result;
                t.detach().mul_(2);
                return Grads{k.g, Tensor()};
              },
              true) == refusal);
  }
  // d(x + y) is one tensor for both.
  const auto both = [](const Function& gradient) {
    const Tensor x = leaf({1}), y = leaf({2});
    return error_of([&] { sum(record("own", x.detach(), {x}, saved(), ByOps{gradient}) + y).backward(); });
  };
  CHECK(both([](const Back& k) {
          k.g.mul_(2);
          return Grads{k.g};
        }).starts_with("own: backward: the gradient changed in place"));
  CHECK(both([](const Back& k) { return Grads{k.g.clone().mul_(2)}; }) == "no error");
}

TEST_CASE("own gradients: an op without one, and a hook that is empty, are refused at once") {
  const Tensor x = leaf({1});
  CHECK(error_of([&] { record("own", x.detach(), {x}, saved(), ByOps{Function()}); }) ==
        "own: the op has no gradient; give record() a ByOps or a ByKernel");
  CHECK(error_of([&] { x.register_hook({}); }) == "register_hook: the hook for f64 [1] is empty");
}

TEST_CASE("hooks: what they throw says so, with the op or the leaf, and the module") {
  const Tensor x = leaf({1, 2});
  Tensor y;
  {
    const std::string path = "layer1";
    const Scope scope(path);
    y = x * 2.0;
  }
  y.register_hook([](const Tensor&) -> Tensor { throw std::runtime_error("no"); });
  CHECK(error_of([&] { sum(y).backward(); }) == "layer1: hook on the gradient of mul: no");
  const Tensor w = leaf({1, 2});
  w.register_hook([](const Tensor&) -> Tensor { throw 7; });
  CHECK(error_of([&] { sum(w).backward(); }) == "hook on the gradient of a leaf f64 [2]: threw a value of type int");
}

TEST_CASE("hooks: one that writes to its gradient is refused, as others use it, too") {
  const Tensor a = leaf({1, 2}), b = leaf({3, 4});
  Tensor scaled = a * 1.0;
  scaled.register_hook([](const Tensor& g) {
    g.mul_(5);
    return Tensor();
  });
  CHECK(
      error_of([&] { sum(scaled + b).backward(); }) ==
      "hook on the gradient of mul: it wrote to the gradient, which others may use as well; return a tensor of its own in its "
      "place");
}

TEST_CASE("without_gradient names what backward did not reach and was to be trained") {
  const Tensor used = leaf({1}), unused = leaf({2}), frozen = leaf({3}), detached = leaf({4});
  const std::vector<Parameter> all{{"used", used}, {"unused", unused}, {"frozen", frozen}, {"detached", detached}};
  freeze(all[2]);
  sum(used * frozen + detached.detach()).backward();
  CHECK(without_gradient(all) == std::vector<std::string>{"unused", "detached"});
}
