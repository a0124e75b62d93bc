#include <doctest/doctest.h>

#include <cmath>

#include "core/autograd/autograd.h"
#include "core/backend/reorder.h"
#include "core/base/random.h"
#include "core/ops.h"
#include "tests/compare.h"

// A batch norm folded into the convolution before it, against the two ops apart.
namespace az::test {
namespace {

struct Layer : ConvNorm {
  ConvNorm and_then(const Then& next) const {
    ConvNorm layer = *this;
    layer.then = next;
    return layer;
  }
  Tensor folded(const Tensor& x, const Then& next = {}) const {
    NoGrad no_grad;
    return conv2d_norm(x, and_then(next));
  }
  // In f64, whatever the layer's number type.
  Tensor apart(const Tensor& x, const Then& next = {}) const {
    auto wide = [](const Tensor& t) { return t.defined() ? t.to(DType::f64) : t; };
    const Tensor y = conv2d(wide(x), wide(weight), wide(bias), conv);
    const Tensor normed = batch_norm(y, {wide(norm.gamma), wide(norm.beta), wide(norm.mean), wide(norm.var)}, params);
    const Tensor sum = next.residual.defined() ? normed + wide(next.residual) : normed;
    return next.relu ? relu(sum) : sum;
  }
};

Tensor random(const Shape& shape, uint64_t seed) {
  Philox generator(seed);
  return uniform(shape, {.low = -1, .high = 1}, generator);
}

Layer layer(const Shape& weight, const Conv2dParams& params = {.padding = 1}) {
  const Shape channels{weight[0]};
  return {{random(weight, 2),
           random(channels, 3),
           params,
           {random(channels, 4), random(channels, 5), random(channels, 6), random(channels, 7) + 1.5},
           {.training = false, .eps = 1e-3}}};
}

}  // namespace

TEST_CASE("conv2d_norm: one convolution gives what the ops give apart, in every number type and with every part left out") {
  struct Case {
    Shape x, weight;
    Conv2dParams params = {.padding = 1};
  };
  const bool no_bf16 = test::skipped_without_bf16();
  for (const Case& c : {Case{{2, 16, 9, 8}, {32, 16, 3, 3}}, Case{{2, 3, 9, 8}, {16, 3, 3, 3}},
                        Case{{2, 32, 8, 8}, {32, 32, 3, 3}}, Case{{2, 16, 9, 8}, {32, 16, 1, 1}, {.stride = 2}},
                        Case{{2, 20, 5, 7}, {20, 20, 3, 3}}, Case{{2, 32, 6, 6}, {64, 8, 3, 3}, {.padding = 1, .groups = 4}}}) {
    CAPTURE(c.weight.str());
    for (unsigned form = 0; form < 32; ++form) {
      CAPTURE(form);
      Layer l = layer(c.weight, c.params);
      if (form & 1) l.bias = {};
      if (form & 2) l.norm.gamma = {};
      if (form & 4) l.norm.beta = {};
      const Tensor x = random(c.x, 1);
      Then then{.relu = bool(form & 8)};
      if (form & 16) then.residual = random(l.apart(x).shape(), 8);
      CHECK(distance(l.folded(x, then), l.apart(x, then)) < 2e-6);
      if (no_bf16) continue;
      const Tensor half = x.to(DType::bf16);
      if (form & 16) then.residual = then.residual.to(DType::bf16);
      const Tensor found = l.folded(half, then);
      CHECK(found.dtype() == DType::bf16);
      CHECK(distance(found, l.apart(half, then)) < 6e-3);
    }
  }
  Layer l = layer({5, 4, 3, 3});
  for (Tensor* t : {&l.weight, &l.bias, &l.norm.gamma, &l.norm.beta, &l.norm.mean, &l.norm.var}) *t = t->to(DType::f64);
  const Tensor x = random({2, 4, 6, 5}, 1).to(DType::f64);
  CHECK(distance(l.folded(x, {.relu = true}), l.apart(x, {.relu = true})) < 1e-14);
}

TEST_CASE("conv2d_norm: a change of whatever the folded norm is made of is noticed") {
  Layer l = layer({32, 16, 3, 3});
  const Tensor x = random({2, 16, 8, 8}, 1);
  auto check = [&] { CHECK(distance(l.folded(x), l.apart(x)) < 2e-6); };
  check();
  for (Tensor* t : {&l.weight, &l.bias, &l.norm.gamma, &l.norm.beta, &l.norm.mean, &l.norm.var}) {
    t->mul_(1.5);
    check();
    *t = *t * 1.25;
    check();
  }
  l.params.eps = 0.1;
  check();
  l.bias = {};
  check();
}

TEST_CASE(
    "conv2d_norm: nothing is folded or packed twice, and the convolution with the norm takes the memory of that without") {
  const Layer l = layer({64, 64, 3, 3});
  Tensor x = random({2, 64, 8, 8}, 1);
  x = conv2d(x, l.weight, l.bias, l.conv);
  x = conv2d(x, l.weight, l.bias, l.conv);
  const size_t packed = memory_stats().in_use;
  l.folded(x);
  const uint64_t before = reorder_count();
  l.folded(x);
  CHECK(reorder_count() == before);
  CHECK(memory_stats().in_use < packed + 64 * 64 * 9 * sizeof(float));
  const Tensor apart = conv2d(x, l.weight, l.bias, l.conv);
  CHECK(distance(apart, conv2d(x.to(DType::f64), l.weight.to(DType::f64), l.bias.to(DType::f64), l.conv)) < 2e-6);
}

TEST_CASE("conv2d_norm: gradients are those of the two ops") {
  for (bool with_relu : {false, true}) {
    auto gradients = [&](bool as_one) {
      Layer l = layer({16, 16, 3, 3});
      std::vector<Tensor> leaves{
          random({2, 16, 6, 6}, 1), random({2, 16, 6, 6}, 9), l.weight, l.bias, l.norm.gamma, l.norm.beta};
      for (Tensor& leaf : leaves) leaf.set_requires_grad();
      const Then then{.residual = leaves[1], .relu = with_relu};
      Tensor y = as_one ? conv2d_norm(leaves[0], l.and_then(then)) : l.apart(leaves[0], then);
      return grad(y, leaves, {.gradient = random(y.shape(), 10).to(y.dtype())});
    };
    const auto found = gradients(true), wanted = gradients(false);
    for (size_t i = 0; i < wanted.size(); ++i) CHECK(distance(found[i], wanted[i]) < 1e-5);
  }
}

TEST_CASE("conv2d_norm: what is not finite is not hidden by the convolution's ReLU") {
  for (int which : {0, 1, 2}) {
    Layer l = layer({32, 32, 3, 3});
    const Tensor x = random({2, 32, 8, 8}, 1);
    (which == 0 ? x : which == 1 ? l.norm.var : l.weight).mutable_data<float>()[0] = NAN;
    bool found = false;
    for (float v : l.folded(x, {.relu = true}).to_vector<float>()) found |= std::isnan(v);
    CHECK(found);
  }
}

TEST_CASE("conv2d_norm: statistics that are missing or do not fit are refused") {
  const Tensor x = random({2, 16, 8, 8}, 1);
  Layer l = layer({32, 16, 3, 3});
  l.norm.mean = {};
  CHECK_THROWS_WITH_AS(l.folded(x), "batch_norm: evaluation needs running statistics", Error);
  l.norm.mean = ones({16});
  const std::string expected = "conv2d_norm: weight is f32 [32,16,3,3], so bias, parameters and statistics are f32 [32], not ";
  CHECK_THROWS_WITH_AS(l.folded(x), (expected + "f32 [16]").c_str(), Error);
  l.norm.mean = ones({32}, DType::f64);
  CHECK_THROWS_WITH_AS(l.folded(x), (expected + "f64 [32]").c_str(), Error);
  l.norm.mean = ones({32});
  const std::string remedy =
      " is to be added to f32 [2,32,8,8]; give the shortcut layers that bring both to one shape and number type";
  CHECK_THROWS_WITH_AS(l.folded(x, {.residual = x}), ("conv2d_norm: f32 [2,16,8,8]" + remedy).c_str(), Error);
  CHECK_THROWS_WITH_AS(l.folded(x, {.residual = zeros({2, 32, 8, 8}, DType::f64)}),
                       ("conv2d_norm: f64 [2,32,8,8]" + remedy).c_str(), Error);
}

TEST_CASE(
    "conv2d_norm: one pass where nobody needs a gradient, in evaluation alone, and what it gives in training is that of the ops") {
  Layer l = layer({32, 16, 3, 3});
  Tensor x = random({2, 16, 8, 8}, 1);
  CHECK(is_one_pass(x, l));
  l.weight.set_requires_grad();
  CHECK_FALSE(is_one_pass(x, l));
  NoGrad no_grad;
  CHECK(is_one_pass(x, l));
  l.params.training = true;
  CHECK_FALSE(is_one_pass(x, l));
  const Tensor mean = l.norm.mean.clone(), var = l.norm.var.clone();
  const Tensor y = conv2d_norm(x, l),
               apart = batch_norm(conv2d(x, l.weight, l.bias, l.conv), {l.norm.gamma, l.norm.beta, mean, var}, l.params);
  CHECK(distance(y, apart) == 0);
  CHECK(distance(l.norm.mean, mean) == 0);
  CHECK(distance(l.norm.var, var) == 0);
}

}  // namespace az::test
