#include "core/autograd/gradcheck.h"

#include <doctest/doctest.h>

#include <cmath>

#include "core/autograd/autograd.h"
#include "core/ops/activations.h"
#include "core/ops/conv.h"
#include "core/ops/elementwise.h"
#include "core/ops/norm.h"
#include "core/ops/reduce.h"
#include "core/tensor/create.h"
#include "tests/compare.h"

using namespace az;
using test::has;

namespace {

Tensor values(const Shape& shape, double first = 0.3) {
  Tensor t = Tensor::empty(shape, DType::f64);
  for (int64_t i = 0; i < t.numel(); ++i) t.mutable_data<double>()[i] = first + 0.37 * double(i % 5) - 0.11 * double(i % 3);
  return t;
}

// x^2, with `factor` in its gradient where 2 belongs.
Tensor square(const Tensor& x, double factor, bool by_ops = true) {
  Tensor value;
  {
    NoGrad no_grad;
    value = x * x;
  }
  auto gradient = [factor](const Back& k) { return Grads{k.g * k.saved[0] * factor}; };
  if (by_ops) return record("square", value, {x}, saved(x), ByOps{gradient});
  return record("square", value, {x}, saved(x), ByKernel{gradient});
}

}  // namespace

TEST_CASE("gradcheck: right gradients pass") {
  GradcheckResult result =
      gradcheck([](const auto& x) { return exp(x[0] * x[1]) / (x[1] + 2); }, {values({2, 3}), values({3}, 0.5)});
  CHECK(result.ok);
  CHECK(result.message.empty());
  CHECK(result.worst < 1e-8);
  CHECK(gradcheck([](const auto& x) { return square(x[0], 2); }, {values({4})}));
}

TEST_CASE("gradcheck: a wrong gradient is found, with input and element") {
  GradcheckResult result = gradcheck([](const auto& x) { return x[0] + square(x[1], 2.0001); }, {values({4}), values({4})});
  CHECK(!result.ok);
  CHECK(result.input == 1);
  CHECK(result.worst > 1e-5);
  CHECK(result.message.starts_with("the gradient of input 1 (f64 [4]) is off by"));

  // One wrong element of eight.
  auto one_off = [](const std::vector<Tensor>& x) {
    NoGrad no_grad;
    Tensor value = x[0] * 2.0;
    GradMode recording(true);
    return record("one_off", value, {x[0]}, saved(), ByOps{[](const Back& k) {
                    Tensor g = k.g * 2.0;
                    NoGrad inner;
                    g.detach().mutable_data<double>()[5] *= 1.001;
                    return Grads{g};
                  }});
  };
  result = gradcheck(one_off, {values({8})});
  CHECK(!result.ok);
  CHECK(result.element == 5);
  CHECK(result.message.find("at element 5 backward gives") != std::string::npos);
}

TEST_CASE("gradcheck: a gradient that is missing, misshapen or not a number fails") {
  auto with = [](Grads gradients) {
    return gradcheck(
        [&](const std::vector<Tensor>& x) {
          NoGrad no_grad;
          Tensor value = x[0] * 2.0;
          GradMode recording(true);
          return record("op", value, {x[0]}, saved(), ByOps{[&](const Back&) { return gradients; }});
        },
        {values({4})});
  };
  CHECK(!with({Tensor()}));
  CHECK(!with({full({4}, NAN, DType::f64)}));
  CHECK(with({zeros({3}, DType::f64)}).message.starts_with("op: backward: "));
  CHECK(with({}).message == "op: backward: the gradient returned 0 tensors for 1 inputs");
  CHECK(!gradcheck([](const auto& x) { return x[0].detach() * 2.0; }, {values({4})}));
}

TEST_CASE("gradcheck: inputs come back as they were, also when used by capture") {
  Tensor x = values({3}), constant = Tensor::of<int64_t>({1}, {1});
  x.set_requires_grad();
  Tensor weight = values({3}, 0.7), before = weight.clone();
  CHECK(gradcheck([&](const auto&) { return x * weight * weight; }, {x, weight, constant}));
  CHECK(weight.to_vector<double>() == before.to_vector<double>());
  CHECK(x.requires_grad());
  CHECK(!weight.requires_grad());
  CHECK(!x.grad().defined());
  int calls = 0;
  auto stops = [&](const std::vector<Tensor>&) {
    if (++calls == 3) throw Error("stop");
    return x * weight;
  };
  CHECK_THROWS_WITH_AS(gradcheck(stops, {x, weight}), "stop", Error);
  CHECK(x.to_vector<double>() == values({3}).to_vector<double>());
  CHECK(!weight.requires_grad());
}

TEST_CASE("gradcheck: random ops draw the same numbers each time") {
  CHECK(gradcheck([](const auto& x) { return dropout(x[0], 0.5) * randn({20}, DType::f64); }, {values({20})}));
}

TEST_CASE("gradcheck: only some elements are tried on request") {
  int calls = 0;
  auto counting = [&](const std::vector<Tensor>& x) {
    ++calls;
    return x[0] * 2.0;
  };
  CHECK(gradcheck(counting, {values({100})}, {.samples = 5}));
  CHECK(calls == 11);
}

TEST_CASE("gradcheck: unusable inputs are refused") {
  auto twice = [](const std::vector<Tensor>& x) { return x[0] * 2.0; };
  CHECK_THROWS_WITH_AS(gradcheck(twice, {ones({2})}), "gradcheck: input 0 is f32 [2]; differences need f64", Error);
  CHECK_THROWS_WITH_AS(gradcheck(twice, {Tensor::of<int64_t>({1}, {1})}), "gradcheck: no input is a floating tensor", Error);
}

TEST_CASE("gradgradcheck: gradients that are made of ops pass, wrong ones and kernels do not") {
  CHECK(gradgradcheck([](const auto& x) { return square(x[0], 2) * exp(x[1]); }, {values({2, 3}), values({3})}));
  // A right gradient whose own gradient is wrong: x detached inside.
  auto detached = [](const std::vector<Tensor>& x) {
    NoGrad no_grad;
    Tensor value = x[0] * x[0];
    GradMode recording(true);
    return record("detached", value, {x[0]}, saved(x[0]),
                  ByOps{[](const Back& k) { return Grads{k.g * k.saved[0].detach() * 2.0}; }});
  };
  CHECK(gradcheck(detached, {values({3})}));
  CHECK(!gradgradcheck(detached, {values({3})}));

  // Another gradient to be differentiated again, in which 3 stands where 2 belongs: consistent with itself, but not with the
  // value.
  auto other = [](const std::vector<Tensor>& x) {
    NoGrad no_grad;
    Tensor value = x[0] * x[0];
    GradMode recording(true);
    return record("other", value, {x[0]}, saved(x[0]),
                  ByOps{[](const Back& k) { return Grads{k.g * k.saved[0] * (GradMode::enabled() ? 3.0 : 2.0)}; }});
  };
  CHECK(gradcheck(other, {values({3})}));
  GradcheckResult result = gradgradcheck(other, {values({3})});
  CHECK(!result.ok);
  CHECK(result.message ==
        "the gradient of input 0 (f64 [3]) with create_graph is off by 0.333 of its norm from that without; at element 2 they "
        "are "
        "-1.12601707 and -0.750678046");

  // One that throws where it is not to be differentiated again.
  auto fails = [](const std::vector<Tensor>& x) {
    NoGrad no_grad;
    Tensor value = x[0] * x[0];
    GradMode recording(true);
    return record("fails", value, {x[0]}, saved(x[0]), ByOps{[](const Back& k) {
                    if (!GradMode::enabled()) throw Error("no plain gradient");
                    return Grads{k.g * k.saved[0] * 2.0};
                  }});
  };
  result = gradgradcheck(fails, {values({3})});
  CHECK(!result.ok);
  CHECK(has(result.message, "no plain gradient"));

  result = gradgradcheck([](const auto& x) { return square(x[0], 2, false); }, {values({3})});
  CHECK(!result.ok);
  CHECK(result.message == "square: backward: the gradient of square cannot be differentiated again (create_graph)");
}
