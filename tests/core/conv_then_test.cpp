#include <doctest/doctest.h>

#include <cmath>

#include "core/backend/backend.h"
#include "core/base/random.h"
#include "core/ops/activations.h"
#include "core/ops/conv.h"
#include "core/ops/elementwise.h"
#include "core/tensor/create.h"
#include "tests/compare.h"

// The back end's convolution with a scale and with what follows in the same pass, as evaluation runs it.
namespace az::test {
namespace {

struct Case {
  const char* name;
  Shape x, weight;
  Conv2dParams params;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"direct", {2, 16, 9, 8}, {16, 16, 3, 3}, {.padding = 1}},
      {"winograd", {2, 32, 9, 8}, {48, 32, 3, 3}, {.padding = 1}},
      {"image", {2, 3, 9, 8}, {16, 3, 3, 3}, {.padding = 1}},
      {"pointwise, strided", {2, 16, 9, 8}, {32, 16, 1, 1}, {.stride = 2}},
      {"channels that do not fill a block", {2, 20, 5, 7}, {20, 20, 3, 3}, {.stride = 2, .padding = 1}},
      {"groups", {2, 64, 6, 6}, {64, 16, 3, 3}, {.padding = 1, .groups = 4}},
      {"depthwise", {2, 32, 6, 6}, {32, 1, 3, 3}, {.padding = 1, .groups = 32}},
  };
  return all;
}

Tensor random(const Shape& shape, DType type, uint64_t seed) {
  Philox generator(seed);
  return uniform(shape, {.low = -1, .high = 1}, generator).to(type).to(DType::f64);
}

// scale * conv2d + bias, then what is to follow.
Tensor fused(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& scale, const Conv2dParams& params,
             const Then& then) {
  const Shape shape = conv2d(x, weight, {}, params).shape();
  return backend_for(x.dtype(), "conv2d").conv2d(x, weight, bias, scale, params, then, shape);
}

// As a convolution would lay it out.
Tensor blocked(const Tensor& x) {
  const int64_t channels = x.size(1);
  Tensor eye = zeros({channels, channels, 1, 1});
  for (int64_t i = 0; i < channels; ++i) eye.mutable_data<float>()[i * channels + i] = 1;
  return conv2d(x, eye, {});
}

void check(DType type, double tolerance) {
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    const Tensor x = random(c.x, type, 1), weight = random(c.weight, DType::f32, 2),
                 bias = random({c.weight[0]}, DType::f32, 3);
    const Tensor scale = random({c.weight[0]}, DType::f32, 5);
    const Tensor sum = conv2d(x, weight, {}, c.params), other = random(sum.shape(), type, 4);
    for (int form = 0; form < 32; ++form) {
      const bool with_bias = form & 1, with_relu = form & 2, with_residual = form & 4, is_blocked = form & 8,
                 with_scale = form & 16;
      CAPTURE(form);
      if (is_blocked && (!with_residual || type == DType::f64)) continue;
      Tensor wanted = conv2d(x, weight, {}, c.params);
      if (with_scale) wanted = wanted * scale.reshape({-1, 1, 1});
      if (with_bias) wanted = wanted + bias.reshape({-1, 1, 1});
      if (with_residual) wanted = wanted + other;
      if (with_relu) wanted = relu(wanted);
      Tensor residual = with_residual ? other.to(type) : Tensor();
      if (is_blocked) residual = blocked(residual);
      const DType own = type == DType::f64 ? DType::f64 : DType::f32;
      const Tensor found = fused(x.to(type), weight.to(own), with_bias ? bias.to(own) : Tensor(),
                                 with_scale ? scale.to(own) : Tensor(), c.params, {residual, with_relu});
      CHECK(found.dtype() == type);
      CHECK(distance(found, wanted) <= tolerance);
      if (with_residual) CHECK(distance(residual, other) == 0);
    }
  }
}

}  // namespace

TEST_CASE("conv2d, then: scale, residual and relu in one pass, for every kind of convolution") {
  check(DType::f32, 1e-5);
  check(DType::f64, 1e-14);
}

TEST_CASE("conv2d, then: likewise in bf16") {
  if (!test::skipped_without_bf16()) check(DType::bf16, 4e-3);
}

TEST_CASE("conv2d, then: relu keeps NaN, for every kind of convolution") {
  for (DType type : {DType::f32, DType::bf16}) {
    if (type == DType::bf16 && test::skipped_without_bf16()) continue;
    for (const Case& c : cases()) {
      CAPTURE(c.name);
      Tensor x = random(c.x, type, 1);
      x.mutable_data<double>()[0] = NAN;
      const Tensor weight = random(c.weight, DType::f32, 2).to(DType::f32);
      int64_t found = 0;
      for (float y : fused(x.to(type), weight, {}, {}, c.params, {.relu = true}).to(DType::f32).to_vector<float>())
        found += std::isnan(y);
      CHECK(found >= c.weight[0] / c.params.groups);  // the first pixel's, at the least
    }
  }
}

TEST_CASE("conv2d, then: the input may be the residual, and stays as it is") {
  for (int64_t channels : {16, 32}) {
    const Tensor x = random({2, channels, 8, 8}, DType::f32, 1), weight = random({channels, channels, 3, 3}, DType::f32, 2);
    Tensor fed = blocked(x.to(DType::f32));
    const Tensor found = fused(fed, weight.to(DType::f32), {}, {}, {.padding = 1}, {.residual = fed, .relu = true});
    CHECK(distance(found, relu(conv2d(x, weight, {}, {.padding = 1}) + x)) <= 1e-5);
    CHECK(distance(fed, x) == 0);
  }
}

}  // namespace az::test
