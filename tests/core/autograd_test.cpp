#include "core/autograd/autograd.h"

#include <doctest/doctest.h>

#include <cmath>

#include "core/ops/activations.h"
#include "core/ops/conv.h"
#include "core/ops/elementwise.h"
#include "core/ops/matmul.h"
#include "core/ops/reduce.h"
#include "core/tensor/create.h"
#include "tests/compare.h"

using namespace az;
using test::error_of;
using Values = std::vector<double>;

namespace {

Tensor leaf(const Shape& shape, const Values& values) {
  Tensor t = Tensor::of<double>(shape, values);
  t.set_requires_grad();
  return t;
}
Tensor leaf(double value) { return leaf({}, {value}); }
Values values(const Tensor& t) { return t.to_vector<double>(); }

// y = 2 x with a gradient under the test's control.
Tensor doubled(const Tensor& x, std::function<Grads(const Back&)> gradient) {
  NoGrad no_grad;
  Tensor value = x * 2.0;
  GradMode recording(true);
  return record("doubled", value, {x}, saved(), ByKernel{std::move(gradient)});
}

}  // namespace

TEST_CASE("autograd: gradients of an expression with shared parts") {
  Tensor a = leaf(3), b = leaf(-2);
  Tensor c = a * b + exp(b);  // both used twice below
  Tensor loss = c * c + a;
  loss.backward();
  double value = -6 + std::exp(-2.0);
  CHECK(a.grad().item() == doctest::Approx(2 * value * -2 + 1).epsilon(1e-14));
  CHECK(b.grad().item() == doctest::Approx(2 * value * (3 + std::exp(-2.0))).epsilon(1e-14));
}

TEST_CASE("autograd: backward adds to grad, zero_grad starts over") {
  Tensor x = leaf({2}, {1, 2});
  sum(x * x).backward();
  sum(x * 3.0).backward();
  CHECK(values(x.grad()) == Values{5, 7});
  x.zero_grad();
  CHECK(!x.grad().defined());
  sum(x).backward();
  CHECK(values(x.grad()) == Values{1, 1});
}

TEST_CASE("autograd: leaves fed by one gradient do not share it") {
  Tensor a = leaf({2}, {1, 2}), b = leaf({2}, {3, 4}), given = Tensor::of<double>({2}, {1, 10});
  (a + b).backward(given);
  sum(a * 2.0).backward();
  CHECK(values(a.grad()) == Values{3, 12});
  CHECK(values(b.grad()) == Values{1, 10});
  CHECK(values(given) == Values{1, 10});
  b.grad().mul_(0.5);  // as gradient clipping does
  CHECK(values(a.grad()) == Values{3, 12});
  CHECK(values(given) == Values{1, 10});
}

TEST_CASE("autograd: gradients are summed over broadcast axes") {
  Tensor a = leaf({2, 3}, {1, 2, 3, 4, 5, 6}), row = leaf({3}, {1, 10, 100}), column = leaf({2, 1}, {2, 3}), scalar = leaf(5);
  sum((a * row + scalar) * column).backward();
  CHECK(values(a.grad()) == Values{2, 20, 200, 3, 30, 300});
  CHECK(values(row.grad()) == Values{2 * 1 + 3 * 4, 2 * 2 + 3 * 5, 2 * 3 + 3 * 6});
  CHECK(row.grad().shape() == Shape{3});
  CHECK(values(column.grad()) == Values{321 + 15, 654 + 15});
  CHECK(column.grad().shape() == Shape{2, 1});
  CHECK(scalar.grad().item() == 15);
}

TEST_CASE("autograd: inputs that need no gradient get none and cost none") {
  Tensor x = leaf({2}, {1, 2}), constant = Tensor::of<double>({2}, {3, 4});
  Tensor y = x * constant;
  CHECK(y.requires_grad());
  CHECK(!y.is_leaf());
  CHECK(x.is_leaf());
  sum(y).backward();
  CHECK(!constant.grad().defined());
  CHECK(!(constant * constant).requires_grad());
  CHECK(!y.detach().requires_grad());
  std::vector<bool> needed;
  Tensor z = record("probe", constant.clone(), {constant, x}, saved(), ByKernel{[&](const Back& k) {
                      needed = {k.needs(0), k.needs(1)};
                      return Grads{{}, k.g};
                    }});
  sum(z).backward();
  CHECK(needed == std::vector<bool>{false, true});
}

TEST_CASE("autograd: nothing is recorded under NoGrad, and it ends with its scope") {
  Tensor x = leaf(2);
  {
    NoGrad no_grad;
    CHECK(!(x * x).requires_grad());
    CHECK(!needs_grad({x}));
    {
      GradMode on(true);
      CHECK((x * x).requires_grad());
    }
    CHECK(!GradMode::enabled());
    x.fill_(3);  // allowed here
  }
  CHECK(needs_grad({x}));
  (x * x).backward();
  CHECK(x.grad().item() == 6);
}

TEST_CASE("autograd: a hook sees the whole gradient once and may replace it") {
  Tensor x = leaf(3);
  Tensor y = x * x;
  std::vector<double> seen;
  y.register_hook([&](const Tensor& g) {
    seen.push_back(g.item());
    return g * 10.0;
  });
  x.register_hook([&](const Tensor& g) {
    seen.push_back(g.item());
    return Tensor();
  });
  (y * 2.0 + y).backward();
  CHECK(seen == Values{3, 3 * 10 * 6});
  CHECK(x.grad().item() == 180);
  CHECK(error_of([] { ones({}).register_hook([](const Tensor& g) { return g; }); }).find("does not require a gradient") !=
        std::string::npos);
  Tensor z = leaf({2}, {1, 2});
  z.register_hook([](const Tensor&) { return ones({3}, DType::f64); });
  CHECK(error_of([&] { sum(z).backward(); }) == "hook: returned f64 [3] for a gradient of f64 [2]");
}

TEST_CASE("autograd: going back twice needs retain_graph") {
  Tensor x = leaf(3);
  Tensor y = x * x;
  y.backward({.retain_graph = true});
  y.backward();
  CHECK(x.grad().item() == 12);
  CHECK(error_of([&] { y.backward(); }) ==
        "mul: backward: its saved tensors were freed by an earlier backward(); pass {.retain_graph = true} to that one to go "
        "through "
        "twice");
}

TEST_CASE("autograd: changing what a gradient needs is caught") {
  Tensor x = leaf({2}, {1, 2});
  CHECK(error_of([&] { x.fill_(0); }).starts_with("fill_: a leaf that requires a gradient f64 [2] cannot be changed in place"));
  Tensor y = x * 2.0;
  CHECK(error_of([&] { y.mul_(2); }).starts_with("mul_: the result of a recorded op f64 [2] cannot be changed in place"));

  Tensor z = sum(x * x);
  {
    NoGrad no_grad;
    x.mul_(2);
  }
  std::string message = error_of([&] { z.backward(); });
  CHECK(message.starts_with("mul: backward: a tensor saved for the gradient (f64 [2]) was changed in place"));
  Tensor w = exp(x);  // its gradient uses the result
  w.detach().mutable_data<double>()[0] = 7;
  message = error_of([&] { sum(w).backward(); });
  CHECK(message.starts_with("exp: backward: the op's result was changed in place"));
}

TEST_CASE("autograd: grad() goes to leaves and intermediates and leaves grad alone") {
  Tensor x = leaf(3), other = leaf(1);
  Tensor y = x * x, z = y * y + x;
  auto g = grad(z, {x, y, other, z});
  CHECK(g[0].item() == doctest::Approx(4 * 27 + 1).epsilon(1e-14));
  CHECK(g[1].item() == 18);
  CHECK(!g[2].defined());
  CHECK(g[3].item() == 1);
  CHECK(!x.grad().defined());
  CHECK(error_of([&] { grad(z, {ones({})}); }).starts_with("grad: input f32 [] does not require a gradient"));
}

TEST_CASE("autograd: grad() does not run ops that lead nowhere it was asked for") {
  Tensor x = leaf(3), y = leaf(2);
  Tensor side = doubled(y, [](const Back&) -> Grads { throw Error("must not run"); });
  CHECK(grad(x * x + side, {x})[0].item() == 6);
  CHECK(grad(side * side, {side})[0].item() == 8);
}

TEST_CASE("autograd: create_graph gives higher derivatives") {
  Tensor x = leaf(2), y = leaf(3);
  Tensor f = x * x * x * y;  // f_xx = 6 x y, f_xxx = 6 y, f_xxy = 6 x
  Tensor fx = grad(f, {x}, {.create_graph = true})[0];
  CHECK(fx.item() == 36);
  Tensor fxx = grad(fx, {x}, {.create_graph = true})[0];
  CHECK(fxx.item() == 36);
  auto third = grad(fxx, {x, y});
  CHECK(third[0].item() == 18);
  CHECK(third[1].item() == 12);
}

TEST_CASE("autograd: backward with create_graph leaves a grad that can be differentiated") {
  Tensor x = leaf({2}, {1, 2});
  sum(x * x * x).backward({.create_graph = true});
  Tensor penalty = sum(x.grad() * x.grad());  // sum 9 x^4
  CHECK(values(grad(penalty, {x})[0]) == Values{36, 36 * 8});
  x.zero_grad();
}

TEST_CASE("autograd: an op by kernel is named when it cannot be differentiated twice") {
  Tensor x = ones({1, 1, 3, 3}, DType::f64), weight = ones({1, 1, 3, 3}, DType::f64);
  weight.set_requires_grad();
  Tensor y = sum(conv2d(x, weight, {}));
  CHECK(error_of([&] { grad(y, {weight}, {.create_graph = true}); }) ==
        "conv2d: backward: the gradient of conv2d cannot be differentiated again (create_graph)");
  CHECK(values(grad(y, {weight})[0]) == Values(9, 1.0));
}

TEST_CASE("autograd: outputs that cannot start a backward pass") {
  Tensor x = leaf({2}, {1, 2});
  CHECK(error_of([&] { (x * x).backward(); }) == "backward: the output has 2 elements (f64 [2]); pass a gradient of its shape");
  CHECK(error_of([&] { (x * x).backward(ones({3}, DType::f64)); }) ==
        "backward: gradient f64 [3] does not match the output f64 [2]");
  CHECK(error_of([&] { (x * x).backward(ones({2})); }) == "backward: gradient f32 [2] does not match the output f64 [2]");
  CHECK(error_of([] { ones({}).backward(); }).find("does not depend on anything that requires a gradient") !=
        std::string::npos);
}

TEST_CASE("autograd: what a custom gradient returns is checked, naming op and module path") {
  Tensor x = leaf({2}, {1, 2});
  std::string path = "layer2.0.act";
  auto run = [&](std::function<Grads(const Back&)> gradient) {
    return error_of([&] {
      Tensor y;
      {
        Scope scope(path);
        y = doubled(x, std::move(gradient));
      }
      sum(y).backward();
    });
  };
  CHECK(run([](const Back& k) { return Grads{k.g * 2.0}; }) == "no error");
  CHECK(values(x.grad()) == Values{2, 2});
  CHECK(run([](const Back&) -> Grads { fail("inside: {}", 7); }) == "layer2.0.act: doubled: backward: inside: 7");
  CHECK(run([](const Back&) { return Grads{}; }) ==
        "layer2.0.act: doubled: backward: the gradient returned 0 tensors for 1 inputs");
  CHECK(run([](const Back& k) {
          return Grads{k.g.to(DType::f32)};
        }).starts_with("layer2.0.act: doubled: backward: gradient 0 is f32 [2], the input was f64"));
  CHECK(
      run([](const Back&) { return Grads{ones({3}, DType::f64)}; }).starts_with("layer2.0.act: doubled: backward: gradient 0"));
  CHECK(
      run([](const Back&) { return Grads{ones({1}, DType::f64)}; }).starts_with("layer2.0.act: doubled: backward: gradient 0"));
}

TEST_CASE("autograd: errors and recorded ops carry the path of the module") {
  Tensor x = leaf({2}, {1, 2});
  std::string path = "layer1.conv1";
  {
    Scope scope(path);
    CHECK(error_of([&] { x + ones({3}, DType::f64); }).starts_with("layer1.conv1: add: "));
    Tensor y = x * x;
    CHECK(op_scope(y) == "layer1.conv1");
    CHECK(op_name(y) == "mul");
  }
  CHECK(Scope::path().empty());
  CHECK(op_name(x).empty());
}

TEST_CASE("autograd: only floating leaves may require a gradient") {
  CHECK(error_of([] { Tensor::of<int64_t>({1}, {1}).set_requires_grad(); }).find("only floating tensors have gradients") !=
        std::string::npos);
  Tensor x = leaf(1);
  Tensor y = x * x;
  CHECK(error_of([&] { y.set_requires_grad(); }).find("not a leaf") != std::string::npos);
}

TEST_CASE("autograd: 1000000 ops in a chain neither overflow the stack nor leak") {
  release_cached_memory();
  size_t before = memory_stats().in_use;
  {
    Tensor x = leaf(1);
    Tensor y = x;
    for (int i = 0; i < 1'000'000; ++i) y = y + 1.0;
    Tensor again = y;
    again.backward({.retain_graph = true});
    CHECK(x.grad().item() == 1);
    y.backward();
    CHECK(x.grad().item() == 2);
    again = {};
    y = x;
    for (int i = 0; i < 1'000'000; ++i) y = exp(y * 0.0);  // keeps inputs and results; dropped without a backward pass
  }
  CHECK(memory_stats().in_use == before);
}

TEST_CASE("autograd: no op's result is kept alive by its own gradient") {
  size_t before = memory_stats().in_use;
  {
    Tensor x = leaf({2}, {0.5, 0.25});
    for (const Tensor& y : {exp(x), sqrt(x), tanh(x), sigmoid(x), x.reshape({2, 1}), x.clone(), sum(x), norm(x), x / x}) {
      grad(y, {x}, {.gradient = ones(y.shape(), DType::f64), .create_graph = true});
    }
  }
  CHECK(memory_stats().in_use == before);
}

TEST_CASE("autograd: what gradients needed is freed as backward passes") {
  Tensor x = Tensor::empty({1000, 1000}, DType::f64);
  x.fill_(0.5);
  x.set_requires_grad();
  Tensor y = x;
  for (int i = 0; i < 5; ++i) y = exp(y * y) * 0.1;  // mul keeps its inputs, exp its result
  Tensor loss = sum(y);
  y = {};
  size_t during = memory_stats().in_use;
  loss.backward();
  x.zero_grad();
  CHECK(memory_stats().in_use + 9 * 8'000'000 <= during);
}
