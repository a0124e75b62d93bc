#include <doctest/doctest.h>

#include "core/backend/onednn_conv_trial.h"
#include "core/backend/reference.h"
#include "core/ops/create.h"
#include "core/ops/elementwise.h"
#include "core/random.h"
#include "tests/compare.h"

// The problem whose result is known, by which an implementation is tried before it is used.
namespace az::test {
namespace {

using onednn::ConvProblem;
using onednn::ConvTrial;

const char *const direct = "jit:avx512_core", *const winograd = "jit_wino_4x3:avx512_core";

Tensor exact(const Tensor& x) { return x.defined() ? x.to(DType::f64) : Tensor(); }

struct Case {
  Conv2dParams params{.stride = {2, 1}, .padding = 1, .groups = 2};
  ConvProblem problem;
  Case(DType type, bool bias, bool residual, bool relu)
      : problem{"forward", Shape({5, 32, 9, 8}), Shape({24, 16, 3, 3}), Shape({5, 24, 5, 8}), type, params} {
    problem.bias = bias;
    problem.residual = residual;
    problem.relu = relu;
  }
  Tensor y(const ConvTrial& t) const {
    return Reference()
        .conv2d(exact(t.x()), exact(t.weight()), exact(t.bias()), params, {.residual = exact(t.residual()), .relu = problem.relu},
                problem.y)
        .to(problem.type);
  }
  Tensor dx(const ConvTrial& t) const {
    return Reference().conv2d_backward_data(exact(t.g()), exact(t.weight()), params, problem.x).to(problem.type);
  }
  ConvWeightGradients d(const ConvTrial& t) const {
    auto d = Reference().conv2d_backward_weights(exact(t.g()), exact(t.x()), problem.weight, problem.bias, params);
    return {d.weight.to(DType::f32), problem.bias ? d.bias.to(DType::f32) : Tensor()};
  }
};

// x with element i changed by so much.
Tensor changed(const Tensor& x, int64_t i, double by) {
  Tensor wide = x.to(DType::f64).clone();
  wide.mutable_data<double>()[i] += by;
  return wide.to(x.dtype());
}

Tensor noisy(const Tensor& x, double size) {
  Philox generator(3);
  return (x.to(DType::f64) + uniform(x.shape(), {.low = -size, .high = size}, generator).to(DType::f64)).to(x.dtype());
}

}  // namespace

TEST_CASE("conv trial: the results of f64 are right, all images and all that follows together") {
  for (DType type : {DType::f32, DType::bf16}) {
    for (int form = 0; form < 8; ++form) {
      CAPTURE(form);
      const Case c(type, form & 1, form & 2, form & 4);
      const ConvTrial trial(c.problem);
      CHECK(trial.is_right(direct, c.y(trial)));
      CHECK(trial.is_right_gradient(direct, c.dx(trial)));
      CHECK(trial.is_right_gradient(direct, c.d(trial)));
    }
  }
}

TEST_CASE("conv trial: one element that misses one term, or is NaN, is seen, at any place") {
  const Case c(DType::f32, true, false, false);
  const ConvTrial trial(c.problem);
  const Tensor y = c.y(trial), dx = c.dx(trial);
  const ConvWeightGradients d = c.d(trial);
  for (const char* name : {direct, winograd}) {
    for (double by : {1.0, -1.0, double(NAN), double(INFINITY)}) {
      for (int64_t i : {int64_t(0), int64_t(777), y.numel() - 1}) CHECK_FALSE(trial.is_right(name, changed(y, i, by)));
      for (int64_t i : {int64_t(0), int64_t(777), dx.numel() - 1}) CHECK_FALSE(trial.is_right_gradient(name, changed(dx, i, by)));
      for (int64_t i : {int64_t(0), int64_t(777), d.weight.numel() - 1})
        CHECK_FALSE(trial.is_right_gradient(name, {changed(d.weight, i, by), d.bias}));
      for (int64_t i : {0, 23}) CHECK_FALSE(trial.is_right_gradient(name, {d.weight, changed(d.bias, i, by)}));
    }
  }
}

TEST_CASE("conv trial: the rounding of Winograd's transforms is allowed to Winograd alone, that of bf16 to bf16") {
  const Case c(DType::f32, false, false, false);
  const ConvTrial trial(c.problem);
  const Tensor y = c.y(trial);  // about 12
  CHECK(trial.is_right(winograd, noisy(y, 12e-4)));
  CHECK_FALSE(trial.is_right(direct, noisy(y, 12e-3)));
  CHECK_FALSE(trial.is_right(winograd, noisy(y, 0.1)));
  const Case half(DType::bf16, false, false, false);
  const Tensor rounded = half.y(trial);
  CHECK(trial.is_right(direct, rounded));
  CHECK_FALSE(trial.is_right(direct, changed(rounded, 5, 1)));  // of about 12
}

TEST_CASE("conv trial: images that are taken for one another are seen") {
  const Case c(DType::f32, false, false, false);
  const ConvTrial trial(c.problem);
  const auto values = c.y(trial).to_vector<float>();
  const size_t each = values.size() / 5;
  auto turned = values;
  std::rotate(turned.begin(), turned.begin() + long(each), turned.end());
  CHECK_FALSE(trial.is_right(direct, Tensor::of(c.problem.y, turned)));
  auto repeated = values;
  std::copy_n(values.begin() + long(2 * each), each, repeated.begin() + long(3 * each));
  CHECK_FALSE(trial.is_right(direct, Tensor::of(c.problem.y, repeated)));
}

}  // namespace az::test
