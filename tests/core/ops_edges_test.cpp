#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "core/base/random.h"
#include "core/ops.h"

using namespace az;

namespace {

using Values = std::vector<double>;
using Indices = std::vector<int64_t>;
constexpr double nan_value = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();

Tensor row(const Values& values) { return Tensor::of<double>({int64_t(values.size())}, values); }
Values values(const Tensor& x) { return x.to_vector<double>(); }
Indices indices(const Tensor& x) { return x.to_vector<int64_t>(); }

Tensor gradient_of(const Tensor& x, const std::function<Tensor(const Tensor&)>& f) {
  Tensor leaf = x.clone();
  leaf.set_requires_grad();
  sum(f(leaf)).backward();
  return leaf.grad();
}

}  // namespace

TEST_CASE("ops: comparisons are those of IEEE 754, NaN and -0 included, of shapes that broadcast either way") {
  const Values some = {-infinity, -1, -0.0, 0, 2, infinity, nan_value};
  const Tensor across = row(some), down = across.reshape({7, 1});
  const auto holds = [&](auto op, auto rule) {
    for (const DType type : {DType::f64, DType::f32, DType::bf16}) {
      CAPTURE(name_of(type));
      const auto got = op(down.to(type), across.to(type)).template to_vector<uint8_t>(),
                 turned = op(across.to(type), down.to(type)).template to_vector<uint8_t>();
      for (size_t i = 0; i < some.size(); ++i) {
        for (size_t j = 0; j < some.size(); ++j) {
          CAPTURE(some[i]);
          CAPTURE(some[j]);
          CHECK(bool(got[i * some.size() + j]) == rule(some[i], some[j]));
          CHECK(bool(turned[i * some.size() + j]) == rule(some[j], some[i]));
        }
      }
    }
  };
  holds(equal, [](double a, double b) { return a == b; });
  holds(not_equal, [](double a, double b) { return a != b; });
  holds(less, [](double a, double b) { return a < b; });
  holds(less_equal, [](double a, double b) { return a <= b; });
  holds(greater, [](double a, double b) { return a > b; });
  holds(greater_equal, [](double a, double b) { return a >= b; });
}

TEST_CASE("ops: scalars and empty tensors pass through with the right shapes") {
  Tensor scalar = full({}, 4, DType::f64), empty = zeros({0, 3}, DType::f64);
  CHECK(sum(scalar).item() == 4);
  CHECK(sqrt(scalar).shape() == Shape{});
  CHECK(max(scalar).item() == 4);
  CHECK(permute(scalar, {}).item() == 4);
  CHECK(flatten(scalar).shape() == Shape{1});
  CHECK(stack({scalar, scalar}, 0).shape() == Shape{2});
  CHECK(exp(empty).shape() == Shape{0, 3});
  CHECK((empty + scalar).shape() == Shape{0, 3});
  CHECK((empty * zeros({3}, DType::f64)).shape() == Shape{0, 3});
  CHECK(values(sum(empty, {{0}})) == Values{0, 0, 0});
  CHECK(sum(empty, {{1}}).shape() == Shape{0});
  CHECK(sum(empty).item() == 0);
  CHECK(std::isnan(mean(empty).item()));
  CHECK(logsumexp(empty).item() == -infinity);
  CHECK(softmax(empty).shape() == Shape{0, 3});
  CHECK(values(matmul(zeros({2, 0}), zeros({0, 2}))) == Values{0, 0, 0, 0});
  CHECK(matmul(empty, zeros({3, 2}, DType::f64)).shape() == Shape{0, 2});
  CHECK(values(matmul(zeros({1, 2, 0}), zeros({0, 1}))) == Values{0, 0});
  CHECK(concat({empty, ones({2, 3}, DType::f64)}, 0).shape() == Shape{2, 3});
  CHECK(slice(empty, {.axis = 1, .begin = 1}).shape() == Shape{0, 2});
  CHECK(values(pad(empty, {.before = {1, 0}, .after = {0, 0}, .value = 7})) == Values{7, 7, 7});
  CHECK(index_select(empty, zeros({0}, DType::i64), 0).shape() == Shape{0, 3});
  CHECK(group_norm(zeros({0, 4, 2}), {}, {}, {.groups = 2}).shape() == Shape{0, 4, 2});
  CHECK(gradient_of(empty, [](const Tensor& x) { return softmax(x) * sum(x, {{0}}); }).shape() == Shape{0, 3});
}

TEST_CASE("ops: NaN is never swallowed by a comparison") {
  Tensor x = row({1, nan_value, 3});
  for (const Tensor& y : {relu(x), leaky_relu(x), clamp(x, {.min = 0, .max = 2}), maximum(x, row({2})), maximum(row({2}), x),
                          minimum(x, row({2})), minimum(row({2}), x)}) {
    CHECK(std::isnan(values(y)[1]));
    CHECK(!std::isnan(values(y)[0]));
  }
  CHECK(std::isnan(max(x).item()));
  CHECK(std::isnan(min(x).item()));
  CHECK(argmax(x, 0).item() == 1);
  CHECK(indices(topk(x, 3).indices) == Indices{1, 2, 0});
  CHECK(std::isnan(logsumexp(x).item()));
  CHECK(std::isnan(cross_entropy(x.reshape({1, 3}), zeros({1}, DType::i64)).item()));
}

TEST_CASE("ops: equal elements share a gradient, and the first of them is the one found") {
  CHECK(values(gradient_of(row({2, 5, 5, 1}), [](const Tensor& x) { return max(x); })) == Values{0, .5, .5, 0});
  CHECK(values(gradient_of(row({1, 5, 5, 1}), [](const Tensor& x) { return min(x); })) == Values{.5, 0, 0, .5});
  CHECK(values(gradient_of(row({1, 2, 3}), [](const Tensor& x) { return maximum(x, row({2})); })) == Values{0, .5, 1});
  CHECK(values(gradient_of(row({1, 2, 3}), [](const Tensor& x) { return minimum(x, row({2})); })) == Values{1, .5, 0});
  CHECK(argmax(row({1, 7, 7}), 0).item() == 1);
  CHECK(indices(topk(row({7, 1, 7, 9}), 3).indices) == Indices{3, 0, 2});
  CHECK(values(max(row({-infinity, -infinity}))) == Values{-infinity});
}

TEST_CASE("ops: gradients at bends and poles follow PyTorch") {
  CHECK(values(gradient_of(row({-1, 0, 2}), [](const Tensor& x) { return abs(x); })) == Values{-1, 0, 1});
  CHECK(values(gradient_of(row({-1, 0, 2}), [](const Tensor& x) { return relu(x); })) == Values{0, 0, 1});
  CHECK(values(gradient_of(row({-1, 0, 2}), [](const Tensor& x) { return leaky_relu(x, 0.5); })) == Values{.5, .5, 1});
  CHECK(values(gradient_of(row({-2, -1, 0, 1, 2}), [](const Tensor& x) { return clamp(x, {.min = -1, .max = 1}); })) ==
        Values{0, 1, 1, 1, 0});
  CHECK(values(gradient_of(row({0, 0}), [](const Tensor& x) { return norm(x); })) == Values{0, 0});
  CHECK(values(gradient_of(row({0, -1, 2}), [](const Tensor& x) { return pow(x, 0); })) == Values{0, 0, 0});
  CHECK(values(gradient_of(row({0, -1, 2}), [](const Tensor& x) { return pow(x, 1); })) == Values{1, 1, 1});
  CHECK(values(gradient_of(row({0, -1, 2}), [](const Tensor& x) { return pow(x, 3); })) == Values{0, 3, 12});
}

TEST_CASE("ops: far from zero nothing overflows") {
  CHECK(logsumexp(row({1000, 1000})).item() == doctest::Approx(1000 + std::log(2)).epsilon(1e-15));
  CHECK(logsumexp(row({-infinity, 3})).item() == 3);
  CHECK(logsumexp(row({infinity, 3})).item() == infinity);
  CHECK(logsumexp(row({-infinity, -infinity})).item() == -infinity);
  CHECK(values(softmax(row({1e4, 0, 1e4}))) == Values{.5, 0, .5});
  CHECK(values(log_softmax(row({1e4, 0}))) == Values{0, -1e4});
  CHECK(values(sigmoid(row({-1000, 1000}))) == Values{0, 1});
  // A class that is ruled out costs nothing unless it is the target.
  CHECK(cross_entropy(row({0, -infinity}).reshape({1, 2}), zeros({1}, DType::i64)).item() == 0);
}

TEST_CASE("ops: whole numbers are added, compared and counted exactly") {
  int64_t large = (int64_t(1) << 53) + 1;
  Tensor x = Tensor::of<int64_t>({3}, {large, 2, -3}), mask = Tensor::of<uint8_t>({3}, {1, 0, 255});
  CHECK(indices(sum(x)) == Indices{large - 1});
  Tensor few = slice(x, {.begin = 1});
  CHECK(indices(few * few - few + 1.0) == Indices{3, 13});
  CHECK(indices(x + few.reshape({2, 1})) == Indices{large + 2, 4, -1, large - 3, -1, -6});
  CHECK(indices(max(x)) == Indices{large});
  CHECK(indices(less(x, Tensor::of<int64_t>({}, {large}))) == Indices{0, 1, 1});
  CHECK(sum(mask).dtype() == DType::i64);
  CHECK(indices(sum(mask)) == Indices{256});
  CHECK(indices(where(mask, x, zeros({}, DType::i64))) == Indices{large, 0, -3});
  CHECK(argmax(mask, 0).item() == 2);
  CHECK(indices(slice(arange({.end = 10}, DType::i64), {.begin = -7, .end = -1, .step = 4})) == Indices{3, 7});
}

TEST_CASE("arange: counts from start to before end, also backwards") {
  CHECK(values(arange({.end = 3})) == Values{0, 1, 2});
  CHECK(values(arange({.start = 1, .end = 2, .step = 0.25}, DType::f64)) == Values{1, 1.25, 1.5, 1.75});
  CHECK(values(arange({.start = 3, .end = 0, .step = -1})) == Values{3, 2, 1});
  CHECK(arange({.start = 3, .end = 0}).shape() == Shape{0});
}

TEST_CASE("uniform: stays below its upper end in every number type") {
  Philox generator(9);
  for (DType type : {DType::f32, DType::bf16}) {
    Tensor x = uniform({20000}, {.low = 1, .high = 1.5}, generator, type);
    CHECK(max(x).item() < 1.5);
    CHECK(min(x).item() >= 1);
  }
}

TEST_CASE("randn and uniform: moments and repeatability") {
  Philox one(3), other(3);
  Tensor x = randn({40000}, one, DType::f64);
  CHECK(std::abs(mean(x).item()) < 0.02);
  CHECK(std::abs(var(x).item() - 1) < 0.03);
  CHECK(values(x) == values(randn({40000}, other, DType::f64)));
  Tensor u = uniform({40000}, {.low = -1, .high = 3}, one, DType::f64);
  CHECK(std::abs(mean(u).item() - 1) < 0.03);
  CHECK(var(u).item() == doctest::Approx(16. / 12).epsilon(0.03));
}

TEST_CASE("dropout: zeroes a share, scales the rest, and its gradient uses the same mask") {
  seed_random(5);
  Tensor x = ones({100, 100}, DType::f64), y = dropout(x, 0.25);
  double kept = sum(not_equal(y, zeros({}, DType::f64))).item();
  CHECK(std::abs(kept / 10000 - 0.75) < 0.02);
  CHECK(max(y).item() == 1 / 0.75);
  seed_random(5);
  CHECK(values(gradient_of(x, [](const Tensor& t) { return dropout(t, 0.25); })) == values(y));
  CHECK(values(dropout(x, 0.25)) != values(y));
  CHECK(sum(dropout(x, 1)).item() == 0);
  CHECK(dropout(x, 0).same(x));
}

TEST_CASE("dropout: in bf16, too, what is kept is x / (1 - probability) rounded once") {
  seed_random(5);
  Philox generator(3);
  const Tensor x = uniform({1000}, {.low = 1, .high = 2}, generator).to(DType::bf16), y = dropout(x, 0.4);
  CHECK(y.dtype() == DType::bf16);
  const Values in = values(x.to(DType::f64)), out = values(y.to(DType::f64));
  for (size_t i = 0; i < in.size(); ++i) {
    if (out[i] != 0) CHECK(out[i] == double(float(bf16(float(in[i] / 0.6)))));
  }
}

TEST_CASE("gelu: every element is right to rounding, in the tails and beyond, and NaN stays") {
  Values points;
  for (double x = -12.9; x < 13; x += 0.0137) points.push_back(float(x));
  const Tensor x = row(points), x32 = x.to(DType::f32);
  const Values value = values(gelu(x32).to(DType::f64)), slope = values(gradient_of(x32, gelu).to(DType::f64));
  for (size_t i = 0; i < points.size(); ++i) {
    const double v = points[i], below = std::erfc(-v / std::sqrt(2.0)) / 2, density = std::exp(-v * v / 2) * 0.3989422804014327;
    CAPTURE(v);
    CHECK(std::abs(value[i] - v * below) <= 1e-6 * std::abs(v * below));
    CHECK(std::abs(slope[i] - (below + v * density)) <= 1e-6 * (below + std::abs(v) * density));
  }
  const Tensor far = row({-1e6, -20, 20, 1e6, nan_value}).to(DType::f32);
  const Values ends = values(gelu(far).to(DType::f64)), slopes = values(gradient_of(far, gelu).to(DType::f64));
  CHECK(Values(ends.begin(), ends.end() - 1) == Values{0, 0, 20, 1e6});
  CHECK(Values(slopes.begin(), slopes.end() - 1) == Values{0, 0, 1, 1});
  CHECK(std::isnan(ends.back()));
  CHECK(std::isnan(slopes.back()));
}
