#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "core/backend/conv/choice.h"
#include "core/backend/conv/offer.h"
#include "core/backend/info.h"
#include "core/backend/reference.h"
#include "core/base/error.h"
#include "core/base/random.h"
#include "core/base/threads.h"
#include "core/ops/elementwise.h"
#include "core/tensor/create.h"
#include "tests/compare.h"
#include "tests/core/own_cache.h"

// The problem whose result is known, by which an implementation is tried before it is used.
namespace az::test {
namespace {

constexpr bool direct = false, transforming = true;  // what is allowed to round

Tensor exact(const Tensor& x) { return x.defined() ? x.to(DType::f64) : Tensor(); }

// A problem of each direction, with its trial and the right result of that.
struct Case {
  Conv2dParams params;
  ConvProblem problem;
  ConvTrial trial;
  Case(const char* direction, DType type, int form = 0, int64_t images = 5, const Conv2dParams& p = {{2, 1}, 1, 1, 2})
      : params(p), problem(problem_of(direction, type, form, images, params)), trial(problem) {}

  static ConvProblem problem_of(const char* direction, DType type, int form, int64_t images, const Conv2dParams& params) {
    ConvProblem p{direction, {images, 32, 9, 8}, {24, 32 / params.groups, 3, 3}, {images, 24, 5, 8}, type, params};
    if (params.stride.h == 1) p.y = {images, 24, 9, 8};
    const bool forward = p.direction == "forward";
    p.bias = form & 1;
    p.residual = forward && (form & 2);
    p.relu = forward && (form & 4);
    return p;
  }
  bool of_weights() const { return problem.direction == "backward_weights"; }
  Tensor right() const {
    if (problem.direction == "backward_data")
      return Reference().conv2d_backward_data(exact(trial.g), exact(trial.weight), params, problem.x).to(problem.type);
    const Then then{.residual = exact(trial.then.residual), .relu = problem.relu};
    return Reference()
        .conv2d(exact(trial.x), exact(trial.weight), exact(trial.bias), {}, params, then, problem.y)
        .to(problem.type);
  }
  ConvWeightGradients right_gradients() const {
    auto d = Reference().conv2d_backward_weights(exact(trial.g), exact(trial.x), problem.weight, problem.bias, params);
    return {d.weight.to(DType::f32), problem.bias ? d.bias.to(DType::f32) : Tensor()};
  }
  // The result, or the weight's gradient.
  Tensor values() const { return of_weights() ? right_gradients().weight : right(); }
  bool takes(bool transforms, const Tensor& values) const {
    return of_weights() ? trial.is_right(transforms, {values, right_gradients().bias}) : trial.is_right(transforms, values);
  }
};

// x with elements changed by so much.
Tensor changed(const Tensor& x, std::initializer_list<std::pair<int64_t, double>> changes) {
  Tensor wide = x.to(DType::f64).clone();
  for (const auto& [i, by] : changes) wide.mutable_data<double>()[i] += by;
  return wide.to(x.dtype());
}

constexpr auto directions = {"forward", "backward_data", "backward_weights"};
constexpr auto types = {DType::f32, DType::bf16};

}  // namespace

TEST_CASE("conv trial: the results of f64 are right, in every direction, number type and form") {
  for (const char* direction : directions) {
    for (DType type : types) {
      for (const Conv2dParams& params :
           {Conv2dParams{{2, 1}, 1, 1, 2}, Conv2dParams{1, 1, 1, 1}, Conv2dParams{{2, 1}, {2, 3}, {2, 3}, 8}}) {
        for (int form = 0; form < 8; ++form) {
          CAPTURE(direction);
          CAPTURE(form);
          const Case c(direction, type, form, 5, params);
          CHECK(c.takes(direct, c.values()));
        }
      }
    }
  }
}

TEST_CASE(
    "conv trial: an element that misses one term, or is NaN, is seen at any place, and so are two that make up for each "
    "other") {
  for (const char* direction : directions) {
    for (DType type : types) {
      for (int form : {0, 1, 6, 7}) {
        const Case c(direction, type, form);
        CAPTURE(direction);
        CAPTURE(form);
        const Tensor right = c.values();
        const int64_t plane = right.numel() / (c.of_weights() ? 1 : 5) / right.size(c.of_weights() ? 0 : 1);
        for (bool transforms : {direct, transforming}) {
          for (double by : {1.0, -1.0, double(NAN), double(INFINITY)}) {
            for (int64_t i : {int64_t(0), int64_t(777), right.numel() - 1})
              CHECK_FALSE(c.takes(transforms, changed(right, {{i, by}})));
          }
          CHECK_FALSE(c.takes(direct, changed(right, {{3, 1}, {3 + plane, -1}})));
          CHECK_FALSE(c.takes(direct, changed(right, {{3, 1}, {4, -1}})));
        }
      }
    }
  }
  const Case c("backward_weights", DType::f32, 1);
  const ConvWeightGradients d = c.right_gradients();
  for (int64_t i : {0, 23}) CHECK_FALSE(c.trial.is_right(transforming, {d.weight, changed(d.bias, {{i, 1}})}));
}

TEST_CASE("conv trial: so many terms are not 0 that bf16 holds every result, and some are in each") {
  Conv2dParams params{.padding = 1};
  for (bool relu : {false, true}) {
    ConvProblem p{"forward", {2, 1024, 6, 6}, {32, 1024, 3, 3}, {2, 32, 6, 6}, DType::bf16, params};
    p.relu = relu;
    const ConvTrial trial(p);
    const auto y = Reference().conv2d(exact(trial.x), exact(trial.weight), {}, {}, params, {}, p.y).to_vector<double>();
    CHECK(std::ranges::max(y) <= 256);
    CHECK(std::ranges::max(y) > 60);
    CHECK(std::ranges::min(y) >= -256);
    CHECK(std::ranges::min(y) < -60);
  }
}

TEST_CASE("conv trial: the rounding of Winograd's transforms is allowed to Winograd alone") {
  for (const char* direction : directions) {
    const Case c(direction, DType::f32, 0, 100, {1, 1, 1, 1});
    Philox generator(3);
    auto noisy = [&](double size) { return c.values() + uniform(c.values().shape(), {.low = -size, .high = size}, generator); };
    const double terms = c.of_weights() ? 7200 : 288, rounding = 3 * 2e-8 * terms;  // three times what was measured
    CHECK(c.takes(transforming, noisy(rounding)));
    CHECK_FALSE(c.takes(direct, noisy(0.01)));
    CHECK_FALSE(c.takes(transforming, noisy(0.3)));
  }
}

TEST_CASE("conv trial: images that are taken for one another are seen, whichever they are") {
  const Case c("forward", DType::f32, 0, 9);
  const auto values = c.values().to_vector<float>();
  const auto each = long(values.size() / 9);
  for (long a = 0; a < 9; ++a) {
    for (long b = a + 1; b < 9; ++b) {
      auto swapped = values, repeated = values;
      std::swap_ranges(swapped.begin() + a * each, swapped.begin() + (a + 1) * each, swapped.begin() + b * each);
      std::copy_n(values.begin() + a * each, each, repeated.begin() + b * each);
      CHECK_FALSE(c.takes(transforming, Tensor::of(c.problem.y, swapped)));
      CHECK_FALSE(c.takes(transforming, Tensor::of(c.problem.y, repeated)));
    }
  }
}

namespace {

void spoil(const Tensor& x) { static_cast<float*>(x.raw())[x.numel() / 2] += 1; }
void spoil(const ConvWeightGradients& d) { spoil(d.weight); }

template <class Direction> void check_wiring(const char* direction, int64_t images) {
  OwnCache cache;
  const Case c(direction, DType::f32, 0, images, {1, 1, 1, 1});
  std::set<std::string> right;  // oneDNN 3.7.2 has wrong ones
  const Offer<Direction> all = offered<Direction>;
  Judge<Direction> judge(c.problem, all);
  for (const auto& one : all(c.problem).all) {
    if (judge.is_right(one, one.make())) right.insert(one.name);
  }
  int solved = 0;
  std::set<std::string> wrong;
  // Those of these names give one wrong element.
  const Offer<Direction> offer = [&](const ConvProblem& problem) {
    Implementations<Direction> found;
    for (const Implementations<Direction> any = all(problem); const auto& one : any.all) {
      if (!right.contains(one.name)) continue;
      found.competing += size_t(&one - any.all.data()) < any.competing;
      found.all.push_back(one);
    }
    for (auto& one : found.all) {
      one.make = [&, name = one.name, make = one.make]() -> Solve<Direction> {
        return [&, name, by = make()](const typename Direction::Operands& operands) {
          auto result = by(operands);
          ++solved;
          if (wrong.contains(name)) spoil(result);
          return result;
        };
      };
    }
    return found;
  };
  const auto choice = [&] {
    set_algorithms(AlgorithmChoice::fixed);
    const auto found = chosen<Direction>(c.problem, Direction::of(c.trial), offer);
    return found ? found->name : "none";
  };
  const size_t count = offer(c.problem).all.size();
  REQUIRE(count >= 1);
  const std::string first = choice();
  CHECK(solved == 1);  // by the trial
  CHECK(choice() == first);
  CHECK(solved == 1);  // it is remembered
  std::string last = first;
  for (size_t i = 0; i < count; ++i) {
    OwnCache anew;
    wrong.insert(last);
    last = choice();
    CHECK_FALSE(wrong.contains(last));
    CHECK((last == "none") == (i + 1 == count));
  }
}

}  // namespace

TEST_CASE(
    "conv trial: an implementation that gives one wrong element is not chosen, in any direction, by a few images or many") {
  for (int64_t images : {1, 5, 40}) {
    check_wiring<ConvForward>("forward", images);
    check_wiring<ConvBackwardData>("backward_data", images);
    check_wiring<ConvBackwardWeights>("backward_weights", images);
  }
}

TEST_CASE("conv trial: images are tried as many as an implementation's code depends on") {
  const int before = thread_count();
  const auto check_tried = [](int64_t images, int64_t expected) {
    CAPTURE(images);
    const auto found = offered<ConvForward>(Case("forward", DType::f32, 0, images).problem);
    REQUIRE(!found.all.empty());
    for (const auto& one : found.all) {
      CAPTURE(one.name);
      // Of oneDNN 3 it is not known.
      const bool is_known = !one.transforms && backend_info().onednn.starts_with("2.");
      CHECK(one.images == (is_known ? expected : images));
    }
  };
  set_thread_count(2);
  for (int64_t images : {1, 8, 17, 18}) check_tried(images, images);
  check_tried(19, 17);
  check_tried(128, 18);
  set_thread_count(16);
  check_tried(33, 33);
  check_tried(1030, 38);
  set_thread_count(before);
}

}  // namespace az::test
