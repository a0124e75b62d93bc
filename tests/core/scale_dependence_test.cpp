#include "core/autograd/scale_dependence.h"

#include <doctest/doctest.h>

#include "core/autograd/autograd.h"
#include "core/ops.h"

using namespace az;
using Kind = ScaleDependence::Kind;

namespace {

Tensor leaf(const Shape& shape) { return randn(shape, DType::f64).set_requires_grad(); }

}  // namespace

// Golden cases hold what each op says against its values; here, that it says as much as there is to say.
TEST_CASE("scale_dependence: where the rows of a weight lie in a result") {
  const auto rows_in = [](const Tensor& output, const Tensor& w) {
    const ScaleDependence found = scale_dependence(output, w, w.size(0));
    CHECK(found.kind == Kind::scales);
    CHECK(found.degree == 1);
    CHECK_FALSE(found.shift);
    return found.rows;
  };
  const Tensor cube = leaf({3, 3, 3}), w = leaf({4, 5}), kernel = leaf({4, 2, 1, 1}), x = randn({2, 5}, DType::f64);
  const Tensor image = randn({2, 2, 3, 3}, DType::f64);
  CHECK(rows_in(permute(cube, {2, 0, 1}), cube) == RowsOf{3, 3});
  CHECK(rows_in(sum(cube, {{1}}), cube) == RowsOf{3, 3});
  CHECK(rows_in(norm(cube, {{1, 2}, true}), cube) == RowsOf{1, 3});
  CHECK(rows_in(matmul(x, transpose(w)), w) == RowsOf{1, 4});
  CHECK(rows_in(linear(x, w, {}), w) == RowsOf{1, 4});
  CHECK(rows_in(matmul(w, transpose(x)), w) == RowsOf{2, 4});
  CHECK(rows_in(relu(max_pool2d(conv2d(image, kernel, {}), {})) * 3.0, kernel) == RowsOf{1, 4});
  const Tensor activations = conv2d(image, kernel, {});
  CHECK(rows_in(activations, kernel) == RowsOf{9, 4});
  CHECK(rows_in(activations.reshape({4, 2, 9}), kernel) == RowsOf{9, 4});
  CHECK(rows_in(conv2d(activations, randn({4, 1, 3, 3}, DType::f64), {}, {.groups = 4}), kernel) == RowsOf{1, 4});
  CHECK(rows_in(concat({activations, activations * 2.0}, 3), kernel) == RowsOf{18, 4});
  CHECK(rows_in(slice(activations, {.axis = 2, .end = 2}), kernel) == RowsOf{6, 4});
}

TEST_CASE("scale_dependence: powers add up, and a norm by itself is invariant") {
  const Tensor w = leaf({4, 5});
  CHECK(scale_dependence(pow(w * w / abs(w), 3), w, 4).degree == 3);
  CHECK(scale_dependence(sqrt(sum(w * w)), w).degree == 1);
  CHECK(scale_dependence(w / norm(w, {{1}, true}), w, 4).invariant());
  CHECK(scale_dependence(w / norm(w), w).invariant());
  CHECK_FALSE(scale_dependence(w / norm(w), w, 4).invariant());
  CHECK(scale_dependence(w / clamp(norm(w), {.min = 1e-12}), w).invariant());  // a guard,
  CHECK(scale_dependence(w / (norm(w) + 1e-8), w).invariant());                // as this one is
  CHECK_FALSE(scale_dependence(w / clamp(norm(w), {.min = 0.1}), w).invariant());
  CHECK_FALSE(scale_dependence(w / (norm(w) + 0.1), w).invariant());
  const Tensor positive = greater(w, zeros({}, DType::f64));
  CHECK(scale_dependence(where(positive, w, zeros({}, DType::f64)), w, 4).degree == 1);  // 0 is of every degree
  CHECK(scale_dependence(where(positive, w, ones({}, DType::f64)), w, 4).kind == Kind::broken);
}

TEST_CASE("scale_dependence: a bias is a shift, which batch norm takes out and ReLU does not") {
  const Tensor image = randn({2, 2, 3, 3}, DType::f64), kernel = leaf({4, 2, 1, 1}), bias = leaf({4});
  const auto normed = [](const Tensor& t) { return batch_norm(t, {}); };
  const Tensor biased = conv2d(image, kernel, bias);
  for (const Tensor& w : {kernel, bias}) {
    const ScaleDependence found = scale_dependence(biased, w, 4);
    CHECK(found.kind == Kind::scales);
    CHECK(found.shift == RowsOf{9, 4});
    CHECK(scale_dependence(normed(biased), w, 4).invariant());
    CHECK(scale_dependence(normed(biased * 2.0 + 1.0), w, 4).invariant());
    const ScaleDependence bent = scale_dependence(normed(relu(biased)), w, 4);
    CHECK(bent.kind == Kind::broken);
    CHECK(bent.op == "relu");
    CHECK(bent.reason == "comes after a shift that does not scale with it");
    CHECK(scale_dependence(group_norm(biased, {}, {}, {.groups = 2}), w).kind == Kind::broken);
    CHECK(scale_dependence(group_norm(biased, {}, {}, {.groups = 4}), w, 4).invariant());
  }
  CHECK(scale_dependence(normed(conv2d(image, kernel, {}) + randn({2, 4, 3, 3}, DType::f64)), kernel).reason ==
        "adds what does not scale with it");
}

TEST_CASE("scale_dependence: a shift is lost where channels are mixed, borders padded, or factors vary within its slices") {
  const auto normed = [](const Tensor& t) { return batch_norm(t, {}); };
  const auto lost = [](const Tensor& output, const Tensor& w, int64_t rows) {
    const ScaleDependence found = scale_dependence(output, w, rows);
    CHECK(found.kind == Kind::broken);
    CHECK(found.reason == "comes after a shift that does not scale with it");
  };
  const Tensor image = randn({2, 2, 3, 3}, DType::f64), bias = leaf({4}), kernel = leaf({4, 2, 1, 1});
  const Tensor one = leaf({1, 2, 1, 1}), one_bias = leaf({1});
  // One number becomes another in each channel.
  const Tensor spread = conv2d(conv2d(image, one, one_bias), randn({8, 1, 1, 1}, DType::f64), {});
  for (const Tensor& w : {one, one_bias}) lost(group_norm(spread, {}, {}, {.groups = 1}), w, 1);
  // Zeros around a channel are not its number, even where a kernel is of one element.
  for (int64_t size : {1, 3}) {
    const Tensor depthwise = randn({4, 1, size, size}, DType::f64), biased = conv2d(image, kernel, bias);
    for (const Tensor& w : {kernel, bias}) lost(normed(conv2d(biased, depthwise, {}, {.padding = {1, 1}, .groups = 4})), w, 4);
  }
  const Tensor w = leaf({5, 3}), v = randn({6, 5}, DType::f64);
  lost(layer_norm(linear(linear(randn({2, 3}, DType::f64), w, {}) + 1.0, v, {}), {}, {}), w, 1);
  // Batch norm with running statistics multiplies each channel by a number.
  const Tensor mean = zeros({4}, DType::f64), variance = ones({4}, DType::f64), gamma = randn({4}, DType::f64);
  CHECK(scale_dependence(normed(batch_norm(conv2d(image, kernel, bias), {gamma, gamma, mean, variance}, {.training = false})),
                         kernel, 4)
            .invariant());
}

TEST_CASE("scale_dependence: what mixes channels, what nothing is known of, what is not reached") {
  const Tensor image = randn({2, 2, 3, 3}, DType::f64), kernel = leaf({2, 2, 1, 1}), other = leaf({2, 2, 1, 1});
  const Tensor twice = conv2d(relu(conv2d(image, kernel, {})), other, {});
  CHECK(scale_dependence(twice, kernel).degree == 1);
  CHECK(scale_dependence(twice, kernel, 2).reason == "mixes its channels");
  CHECK(scale_dependence(twice, other, 2).degree == 1);
  CHECK(scale_dependence(twice, leaf({2})).kind == Kind::absent);
  CHECK(scale_dependence(image, kernel).kind == Kind::absent);
  CHECK(scale_dependence(kernel, kernel).degree == 1);
  CHECK(scale_dependence(kernel * kernel, kernel).degree == 2);
  const Tensor silent = record("silent", twice.detach(), {twice}, saved(), ByOps{[](const Back& k) { return Grads{k.g}; }});
  CHECK(scale_dependence(silent, kernel).kind == Kind::unknown);
  CHECK(scale_dependence(silent, kernel).op == "silent");
  CHECK_THROWS_WITH_AS(scale_dependence(twice, kernel, 3), "scale_dependence: f64 [2,2,1,1] does not divide into 3 rows",
                       Error);
}
