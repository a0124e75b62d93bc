// Whether the effective learning rate that the probe writes is what turns the weight: steps from two norms of one direction,
// under a loss that does not depend on the norm, turn it by angles in the ratio of the two rates.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <random>

#include "core/config/json_document.h"
#include "core/tensor/create.h"
#include "experiments/probes/scale_invariance.h"
#include "optim/builtin.h"

using namespace az;
using namespace az::experiments;
using Vector = std::vector<double>;
using Optimizers = config::Component<optim::OptimizerRegistry>;

namespace {

constexpr int64_t rows = 3, length = 40, n = rows * length;
constexpr int steps = 3;  // the first, those with a memory

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

Vector normal(uint64_t seed) {
  std::mt19937_64 engine(seed);
  Vector values(n);
  for (double& x : values) x = std::normal_distribution<double>()(engine);
  return values;
}

// <h, w> / ||w|| has the gradient (h - <h, u> u) / ||w||, u = w / ||w||; h is another at each step.
Vector gradient_at(const Vector& w, int step) {
  Vector h = normal(uint64_t(100 + step));
  const double ww = dot(w, w), along = dot(h, w) / ww;
  for (size_t i = 0; i < h.size(); ++i) h[i] = (h[i] - along * w[i]) / std::sqrt(ww);
  return h;
}

struct Seen {
  double rate = NAN, power = NAN, angle = NAN;  // as the probe has them
};

// Of each of the first steps from a weight of that norm.
std::vector<Seen> seen_from(double norm, const std::string& json) {
  optim::register_builtin_optimizers();
  Vector start = normal(1);
  for (double scale = norm / std::sqrt(dot(start, start)); double& x : start) x *= scale;
  const Tensor w = Tensor::of<double>({rows, length}, start).set_requires_grad();
  const Tensor other = Tensor::of<double>({1, 1}, {1}).set_requires_grad();  // gets no gradient
  const auto optimizer = config::parse<Optimizers>(config::parse_text(json, "test.json"))
                             .create(std::vector<Parameter>{{"w", w}, {"other", other}});
  ScaleInvariance probe({.every = 1, .parameters = "w"}, optimizer->parameters());
  std::vector<Seen> all;
  for (int step = 0; step < steps; ++step) {
    w.set_grad(Tensor::of<double>({rows, length}, gradient_at(w.to_vector<double>(), step)));
    optimizer->step(&probe);
    probe.report([&](const MetricFields& fields) {
      const std::map<std::string, MetricValue> line(fields.begin(), fields.end());
      const auto number = [&](const char* key) { return std::get<double>(line.at(key)); };
      all.push_back({number("effective_lr"), number("norm_power"), number("angle")});
    });
  }
  return all;
}

struct Row {
  const char* options;  // of the optimizer, beside its type
  double power;         // of the norm, by which a step turns the weight less; NaN where none describes it
};
const std::map<std::string, std::vector<Row>> known = {
    {"sgd",
     {{R"("lr": 1e-6)", 2},
      {R"("lr": 1e-6, "momentum": 0.9)", 2},
      {R"("lr": 1e-6, "momentum": 0.9, "nesterov": true)", 2},
      {R"("lr": 1e-6, "momentum": 0.9, "dampening": 0.5)", 2},
      {R"("lr": 1e-6, "momentum": 0.9, "weight_decay": 1e-2)", 2},
      {R"("lr": 1e-6, "momentum": 0.9, "weight_decay": 1e-2, "decoupled": true)", 2},
      {R"("lr": 1e-6, "momentum": 0.9, "groups": [{"pattern": "*", "lr_factor": 0.3}])", 2},
      {R"("lr": 1e-6, "momentum": 0.9, "groups": [{"pattern": "*", "renormalize_every": 1}])", 2},
      {R"("lr": 1e-4, "momentum": 0.9, "groups": [{"pattern": "*", "trust_ratio": 0.1}])", 0},
      {R"("lr": 1e-4, "groups": [{"pattern": "*", "trust_ratio": 0.1, "renormalize_every": 2}])", 0},
      {R"("lr": 1e-4, "weight_decay": 1e-3, "groups": [{"pattern": "*", "trust_ratio": 0.1}])", 0},
      {R"("lr": 1e-4, "weight_decay": 5, "groups": [{"pattern": "*", "trust_ratio": 0.1}])", NAN}}},
    {"sgdp",
     {{R"("lr": 1e-6)", 2},
      {R"("lr": 1e-6, "momentum": 0.9)", 2},
      {R"("lr": 1e-6, "momentum": 0.9, "nesterov": true, "weight_decay": 1e-2)", 2},
      {R"("lr": 1e-6, "momentum": 0.9, "dampening": 0.5)", 2},
      {R"("lr": 1e-6, "momentum": 0.9, "eps": 10)", 2},
      {R"("lr": 1e-6, "momentum": 0.9, "project_momentum": false)", 2},
      {R"("lr": 1e-6, "momentum": 0.9, "projection": "channel")", 2},
      {R"("lr": 1e-6, "momentum": 0.9, "projection": "layer")", 2},
      {R"("lr": 1e-6, "momentum": 0.9, "projection": "never")", 2},
      {R"("lr": 1e-4, "momentum": 0.9, "groups": [{"pattern": "*", "trust_ratio": 0.1}])", 0}}},
    {"adam",
     {{R"("lr": 1e-6)", 1},
      {R"("lr": 1e-6, "betas": [0, 0])", 1},
      {R"("lr": 1e-6, "eps": 0)", 1},
      {R"("lr": 1e-6, "eps": 1e-4)", 1},
      {R"("lr": 1e-6, "eps": 0.1)", NAN},
      {R"("lr": 1e-6, "eps": 1000)", 2},
      {R"("lr": 1e-6, "weight_decay": 1e-3)", 1},
      {R"("lr": 1e-6, "weight_decay": 1)", NAN},
      {R"("lr": 1e-6, "eps": 1000, "weight_decay": 1e-3)", 2},
      {R"("lr": 1e-6, "groups": [{"pattern": "*", "renormalize_every": 1}])", 1},
      {R"("lr": 1e-4, "groups": [{"pattern": "*", "trust_ratio": 0.1}])", 0}}},
    {"adamw",
     {{R"("lr": 1e-6)", 1},
      {R"("lr": 1e-6, "weight_decay": 10)", 1},
      {R"("lr": 1e-6, "eps": 0.1)", NAN},
      {R"("lr": 1e-6, "eps": 1000)", 2},
      {R"("lr": 1e-4, "groups": [{"pattern": "*", "trust_ratio": 0.1}])", 0},
      {R"("lr": 1e-4, "groups": [{"pattern": "*", "trust_ratio": 0.1, "weight_decay": 3}])", NAN}}},
    {"adamp",
     {{R"("lr": 1e-6)", 1},
      {R"("lr": 1e-6, "nesterov": true, "weight_decay": 1)", 1},
      {R"("lr": 1e-6, "projection": "channel")", 1},
      {R"("lr": 1e-6, "projection": "layer")", 1},
      {R"("lr": 1e-6, "projection": "never")", 1},
      {R"("lr": 1e-6, "eps": 0.1)", NAN},
      {R"("lr": 1e-6, "eps": 1000)", 2},
      {R"("lr": 1e-4, "groups": [{"pattern": "*", "trust_ratio": 0.1}])", 0}}},
    {"muon",
     {{R"("lr": 1e-6)", 1},
      {R"("lr": 1e-6, "momentum": 0)", 1},
      {R"("lr": 1e-6, "nesterov": false, "weight_decay": 10)", 1},
      {R"("lr": 1e-6, "ns_steps": 2)", 1},
      {R"("lr": 1e-6, "momentum": 0, "normalize": true)", 0},  // a momentum remembers a gradient from the norm of the start
      {R"("lr": 1e-6, "groups": [{"pattern": "*", "renormalize_every": 1}])", 1},
      {R"("lr": 1e-4, "groups": [{"pattern": "*", "trust_ratio": 0.1}])", 0},
      {R"("lr": 1e-6, "groups": [{"pattern": "w", "optimizer": {"type": "sgd", "lr": 1e-6}}])", 2}}}};

}  // namespace

TEST_CASE("The effective learning rate of every optimizer here is to its angles from norm 1 to norm 4") {
  optim::register_builtin_optimizers();
  for (const std::string& name : optim::OptimizerRegistry::names()) {
    if (!optim::OptimizerRegistry::base().at(name).built_in) continue;  // another test's
    CAPTURE(name);
    REQUIRE_MESSAGE(known.count(name), "a new optimizer needs a row in the table above");
    for (const Row& row : known.at(name)) {
      const std::string json = "{\"type\": \"" + name + "\", " + row.options + "}";
      CAPTURE(json);
      const auto one = seen_from(1, json), four = seen_from(4, json);
      for (size_t step = 0; step < steps; ++step) {
        CAPTURE(step);
        const double angles = one[step].angle / four[step].angle;
        CAPTURE(angles);
        if (std::isnan(row.power)) {  // null, and rightly so
          CHECK((std::isnan(one[step].rate) || std::isnan(four[step].rate)));
          for (double power : {0, 1, 2}) CHECK(std::abs(angles / std::pow(4, power) - 1) > 0.02);
          continue;
        }
        CHECK(one[step].power == row.power);
        CHECK(four[step].power == row.power);
        CHECK(angles == doctest::Approx(std::pow(4, row.power)).epsilon(0.01));
        CHECK(one[step].rate / four[step].rate == doctest::Approx(angles).epsilon(0.01));
      }
    }
  }
}
