#include "optim/average.h"

#include <doctest/doctest.h>

#include <cmath>

#include "core/base/error.h"
#include "core/base/random.h"

using namespace az;
using namespace az::optim;

namespace {

using Vector = std::vector<double>;
constexpr int64_t steps = 23;

struct Settings {
  bool lookahead;
  double decay;
  int64_t every;
  double power;
};

// Two weights that take random steps, and statistics that do not require a gradient.
struct Walk {
  Tensor a = Tensor::of<float>({3}, {1, -2, 3}), b = Tensor::of<double>({2, 1}, {0.5, -0.25}),
         count = Tensor::of<int64_t>({1}, {0});
  Philox random{7};

  Walk() { a.set_requires_grad(); }
  WeightAverage::Tensors weights() const { return {{"a", a}, {"b", b}, {"count", count}}; }
  Vector values() const {
    Vector all = a.to_vector<double>();
    for (double v : b.to_vector<double>()) all.push_back(v);
    return all;
  }
  void step() {
    for (int64_t i = 0; i < 3; ++i) a.detach().mutable_data<float>()[i] += float(random.normal());
    for (int64_t i = 0; i < 2; ++i) b.mutable_data<double>()[i] += random.normal();
    count.mutable_data<int64_t>()[0] += 1;
  }
};

WeightAverage make(const Settings& s, const WeightAverage::Tensors& weights) {
  if (s.lookahead) return WeightAverage(LookaheadOptions{.decay = s.decay, .every = s.every, .power = s.power}, weights);
  return WeightAverage(EmaOptions{.decay = s.decay, .every = s.every, .power = s.power}, weights);
}

void check_near(const Vector& got, const Vector& expected) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) CHECK(std::abs(got[i] - expected[i]) < 1e-5);
}

Vector averages(const WeightAverage& average) {
  Vector all = average.state().at("a").to_vector<double>();
  for (double v : average.state().at("b").to_vector<double>()) all.push_back(v);
  return all;
}

}  // namespace

TEST_CASE("averages follow their formula; lookahead's weights go on from them, the others' do not") {
  for (const Settings& s :
       {Settings{false, 0.9, 1, 0}, {false, 0.8, 3, 2}, {true, 0.5, 5, 0}, {true, 0.77, 5, 3}, {true, 0, 1, 1}}) {
    CAPTURE(s.lookahead);
    CAPTURE(s.every);
    Walk walk;
    Philox random{7};
    WeightAverage average = make(s, walk.weights());
    Vector weight = walk.values(), mean = weight;
    for (int64_t step = 0; step < steps; ++step) {
      walk.step();
      average.update({.step = step, .total_steps = steps, .steps_per_epoch = 4});
      for (double& w : weight) w += random.normal();
      if ((step + 1) % s.every == 0) {
        const double keep = s.decay * std::pow(double(step + 1) / double(steps), s.power);
        for (size_t i = 0; i < mean.size(); ++i) {
          mean[i] = keep * mean[i] + (1 - keep) * weight[i];
          if (s.lookahead) weight[i] = mean[i];
        }
      }
      check_near(averages(average), mean);
      check_near(walk.values(), weight);
    }
    CHECK(average.state().size() == 2);  // whole numbers have no average
    CHECK(walk.a.requires_grad());
  }
}

TEST_CASE("what does not move, such as a frozen weight, has itself for an average, to the bit") {
  for (const bool lookahead : {false, true}) {
    for (const double decay : {0.999, 0.77, 0.5, 0.3, 0.0}) {
      CAPTURE(decay);
      Walk walk;
      walk.step();  // to numbers that use all bits
      const Vector start = walk.values();
      WeightAverage average = make({lookahead, decay, 1, 1}, walk.weights());
      for (int64_t step = 0; step < steps; ++step) average.update({.step = step, .total_steps = steps});
      CHECK(averages(average) == start);
      CHECK(walk.values() == start);
    }
  }
}

TEST_CASE("while Averaged lives the weights are their average, to the bit, and afterwards what they were") {
  Walk walk;
  WeightAverage average = make({false, 0.9, 1, 0}, walk.weights());
  walk.step();
  average.update({.step = 0, .total_steps = steps});
  const Vector weights = walk.values(), mean = averages(average);
  CHECK(weights != mean);
  {
    Averaged averaged(&average);
    CHECK(walk.values() == mean);
    CHECK(averages(average) == weights);
  }
  CHECK(walk.values() == weights);
  CHECK(averages(average) == mean);
  Averaged none(nullptr);
}

TEST_CASE("an average goes on from a saved state to the same bits") {
  const Settings settings{true, 0.7, 2, 1};
  Walk whole, resumed;
  WeightAverage average = make(settings, whole.weights());
  for (int64_t step = 0; step < 5; ++step) {
    whole.step();
    average.update({.step = step, .total_steps = steps});
  }
  resumed.a.detach().copy_(whole.a.detach());
  resumed.b.copy_(whole.b);
  resumed.random = whole.random;
  WeightAverage other = make(settings, resumed.weights());
  CHECK(averages(other) != averages(average));
  other.load_state(average.state());
  for (int64_t step = 5; step < steps; ++step) {
    whole.step();
    resumed.step();
    average.update({.step = step, .total_steps = steps});
    other.update({.step = step, .total_steps = steps});
    CHECK(whole.values() == resumed.values());
    CHECK(averages(average) == averages(other));
  }
}

TEST_CASE("a state of another model is refused") {
  Walk walk;
  WeightAverage average = make({false, 0.9, 1, 0}, walk.weights());
  CHECK_THROWS_WITH_AS(average.load_state({{"a", walk.a}}),
                       "weight average: the saved state has no \"b\" of [2,1]; it is of another model", Error);
  CHECK_THROWS_WITH_AS(average.load_state({{"a", walk.a}, {"b", walk.a}}),
                       "weight average: the saved state has no \"b\" of [2,1]; it is of another model", Error);
  CHECK_THROWS_WITH_AS(average.load_state({{"a", walk.a}, {"b", walk.b}, {"c", walk.b}}),
                       "weight average: the saved state has 3 tensors, the model 2; it is of another model", Error);
}

TEST_CASE("an average that the training leaves near where it began is odd, or one that nothing enters") {
  const auto oddities = [](const Settings& settings, int64_t length) {
    return make(settings, {}).examine({.steps = length, .planned_steps = length});
  };
  // The product of what is kept at each update, step by step.
  const auto kept = [](const Settings& s, int64_t length) {
    double share = 1;
    for (int64_t step = s.every; step <= length; step += s.every)
      share *= s.decay * std::pow(double(step) / double(length), s.power);
    return share;
  };
  int odd = 0;
  for (const double decay : {0.0, 0.5, 0.9, 0.99, 0.999}) {
    for (const double power : {0.0, 1e-3, 0.1, 2.0}) {
      for (const int64_t every : {1, 5}) {
        for (const int64_t length : {1, 5, 7, 23, 100, 690, 700}) {
          const Settings settings{false, decay, every, power};
          CAPTURE(decay);
          CAPTURE(power);
          CAPTURE(every);
          CAPTURE(length);
          const auto found = oddities(settings, length);
          CHECK(found.empty() == (every <= length && kept(settings, length) <= 0.5));
          odd += !found.empty();
          CHECK(oddities({true, decay, every, power}, length).empty() == (every <= length));
        }
      }
    }
  }
  CHECK(odd > 20);
  CHECK(oddities({false, 0.999, 1, 0}, 100)[0].starts_with("decay: 90 % of what is evaluated"));  // 0.999^100 = 0.905
}

TEST_CASE("an average takes from C++ no options that it would not take from JSON") {
  CHECK_THROWS_WITH_AS(WeightAverage(EmaOptions{.decay = 1}, {}), "ema.decay: must be less than 1, got 1.0", ConfigError);
  CHECK_THROWS_WITH_AS(WeightAverage(LookaheadOptions{.every = 0}, {}), "lookahead.every: must be at least 1, got 0",
                       ConfigError);
}
