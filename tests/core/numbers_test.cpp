#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "core/autograd/autograd.h"
#include "core/ops.h"
#include "tests/compare.h"

using namespace az;
using test::error_of;
using Values = std::vector<double>;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity(), nan_value = std::numeric_limits<double>::quiet_NaN();

// Equal, or both NaN.
bool same(const Tensor& x, const Values& wanted) {
  const Values found = x.to_vector<double>();
  return std::equal(found.begin(), found.end(), wanted.begin(), wanted.end(),
                    [](double a, double b) { return a == b || (a != a && b != b); });
}

}  // namespace

TEST_CASE("whole numbers: division by a number gives f32, as PyTorch's; no fraction is dropped in silence") {
  Tensor x = Tensor::of<int64_t>({3}, {1, 2, -3});
  Tensor half = x / 2.0;
  CHECK(half.dtype() == DType::f32);
  CHECK(same(half, {0.5, 1, -1.5}));
  CHECK((x / 1.0).dtype() == DType::f32);
  CHECK((x * 2.0).dtype() == DType::i64);
  CHECK(same(x * 2.0 - 1.0, {1, 3, -7}));
  CHECK(same(4.0 - x, {3, 2, 7}));
  CHECK(error_of([&] { x * 0.5; }) == "mul: 0.5 is no whole number, i64 [3] holds nothing else; convert with to()");
  CHECK(error_of([&] { x + 0.5; }) == "add: 0.5 is no whole number, i64 [3] holds nothing else; convert with to()");
  CHECK(error_of([&] { x + infinity; }) == "add: inf is no whole number, i64 [3] holds nothing else; convert with to()");
  CHECK(error_of([&] { x * 1e19; }) == "mul: 1e+19 is no whole number, i64 [3] holds nothing else; convert with to()");
  CHECK(error_of([&] { x / x; }) == "div: needs floating types, got i64 [3] and i64 [3]");
}

TEST_CASE("division by a number rounds as division does") {
  Tensor x = Tensor::of<float>({2}, {7, 10}).set_requires_grad();
  Tensor y = x / 3.0;
  CHECK(y.to_vector<float>() == std::vector<float>{7.f / 3.f, 10.f / 3.f});
  CHECK(same(x / 0.0, {infinity, infinity}));
  sum(y).backward();
  CHECK(x.grad().to_vector<float>() == std::vector<float>(2, 1.f / 3.f));
}

// The values are PyTorch's: torch.clamp and the gradient of its sum.
TEST_CASE("clamp: open ends are infinite, NaN stays NaN and gets no gradient") {
  for (DType type : {DType::f64, DType::f32, DType::bf16}) {
    CAPTURE(name_of(type));
    const Tensor given = Tensor::of<double>({5}, {-infinity, -2, 0.5, infinity, nan_value}).to(type);
    auto with = [&](ClampOptions options, const Values& value, const Values& gradient) {
      Tensor x = given.clone().set_requires_grad(), y = clamp(x, options);
      CHECK(same(y, value));
      sum(y).backward();
      CHECK(same(x.grad(), gradient));
    };
    with({}, {-infinity, -2, 0.5, infinity, nan_value}, {1, 1, 1, 1, 0});
    with({.min = -1}, {-1, -1, 0.5, infinity, nan_value}, {0, 0, 1, 1, 0});
    with({.max = 0}, {-infinity, -2, 0, 0, nan_value}, {1, 1, 0, 0, 0});
    with({.min = -1, .max = 1}, {-1, -1, 0.5, 1, nan_value}, {0, 0, 1, 0, 0});
  }
  CHECK(error_of([] { clamp(ones({2}), {.min = nan_value}); }) == "clamp: a bound is not a number (min nan, max inf)");
}
