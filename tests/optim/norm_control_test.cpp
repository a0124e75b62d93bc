#include <functional>

#include "core/config/json_document.h"
#include "optim/builtin.h"
#include "optim/sgd.h"
#include "tests/compare.h"
#include "tests/optim/model.h"

using namespace az;
using namespace az::optim;
using model::Vector;

namespace {

struct Seen : StepObserver {
  UpdateInfo info;
  void after(const Parameter&, const Tensor&, const UpdateInfo& what) override { info = what; }
};

struct Run {
  double predicted, measured;  // radians a step; the second is a root mean square
};

// Trains a weight on noise of norm 1 / ||w|| tangent to it, from where its norm will settle, as scale-invariant weights see it.
Run settle(const std::string& json) {
  register_builtin_optimizers();
  model::Random random{std::mt19937_64(3)};
  constexpr size_t n = 256;
  Vector start(n);
  for (double& x : start) x = random() / 5;
  const Tensor weight = model::tensor<double>({1, n}, start).set_requires_grad();
  const auto text = config::parse_text(json, "test.json");
  const auto optimizer =
      config::parse<config::Component<OptimizerRegistry>>(text).create(std::vector<Parameter>{{"w", weight}});
  Seen seen;
  double squares = 0;
  constexpr int steps = 8000, settled = 3000;
  for (int step = 0; step < steps; ++step) {
    const Vector w = weight.to_vector<double>();
    Vector g(n);
    for (double& x : g) x = random();
    const double ww = model::dot(w, w, 0, n), along = model::dot(g, w, 0, n) / ww;
    for (size_t i = 0; i < n; ++i) g[i] -= along * w[i];
    const double length = model::norm(g, 0, n);
    for (double& x : g) x /= length * std::sqrt(ww);
    weight.set_grad(model::tensor<double>({1, n}, g));
    optimizer->step(&seen);
    const Vector after = weight.to_vector<double>();
    const double norms = std::sqrt(ww) * model::norm(after, 0, n);
    Vector sum(n), difference(n);
    for (size_t i = 0; i < n; ++i) {
      sum[i] = w[i] / std::sqrt(ww) + after[i] * std::sqrt(ww) / norms;
      difference[i] = w[i] / std::sqrt(ww) - after[i] * std::sqrt(ww) / norms;
    }
    const double angle = 2 * std::atan2(model::norm(difference, 0, n), model::norm(sum, 0, n));
    if (step >= settled) squares += angle * angle / (steps - settled);
  }
  return {seen.info.equilibrium_angle, std::sqrt(squares)};
}

}  // namespace

TEST_CASE("The predicted equilibrium angle is the one that noise settles at, for every optimizer") {
  for (const char* json : {
           R"({"type": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.005})",
           R"({"type": "sgd", "lr": 0.1, "weight_decay": 0.02})",
           R"({"type": "sgd", "lr": 0.1, "momentum": 0.8, "nesterov": true, "weight_decay": 0.005})",
           R"({"type": "sgd", "lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.01})",
           R"({"type": "sgd", "lr": 0.1, "momentum": 0.9, "decoupled": true, "weight_decay": 0.05})",
           R"({"type": "sgdp", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.005})",
           R"({"type": "sgdp", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.005, "projection": "never"})",
           R"({"type": "sgdp", "lr": 0.1, "momentum": 0.8, "nesterov": true, "weight_decay": 0.004, "projection": "never"})",
           R"({"type": "sgdp", "lr": 0.1, "momentum": 0.8, "nesterov": true, "dampening": 0.5, "weight_decay": 0.004})",
           R"({"type": "adamw", "lr": 0.001, "weight_decay": 5})",
           R"({"type": "adamp", "lr": 0.001, "weight_decay": 10, "wd_ratio": 0.3})",
           R"({"type": "adamp", "lr": 0.001, "weight_decay": 5, "nesterov": true, "projection": "never"})",
           R"({"type": "muon", "lr": 0.02, "momentum": 0, "weight_decay": 0.25})",
       }) {
    CAPTURE(std::string(json));
    const Run run = settle(json);
    CHECK(std::fabs(run.measured / run.predicted - 1) < 0.01);
  }
}

// sqrt(2 lr wd / (1 + b)) with lr 0.1, wd 0.005, b 0.9 is 0.02294.
TEST_CASE("The equilibrium angle has its published value, and is not given where there is none") {
  CHECK(settle(R"({"type": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.005})").predicted ==
        doctest::Approx(0.02294).epsilon(1e-4));
  CHECK(std::isnan(settle(R"({"type": "sgd", "lr": 0.1})").predicted));
  CHECK(std::isnan(settle(R"({"type": "adam", "lr": 0.001, "weight_decay": 1})").predicted));
  CHECK(std::isnan(settle(R"({"type": "muon", "lr": 0.02, "weight_decay": 0.25})").predicted));
  CHECK(std::isnan(settle(R"({"type": "muon", "lr": 0.02, "momentum": 0, "normalize": true, "weight_decay": 1})").predicted));
  CHECK(std::isnan(settle(R"({"type": "adamw", "lr": 0.001, "groups": [{"pattern": "*", "trust_ratio": 1}]})").predicted));
  CHECK(std::isnan(settle(R"({"type": "sgdp", "lr": 0.1, "momentum": 0.9, "nesterov": true, "dampening": 0.5,
                              "weight_decay": 0.005, "projection": "never"})")
                       .predicted));
}

namespace {

// One step of sgd, lr 0.125, with such a group.
Vector stepped(const std::string& group, const Vector& start, const Vector& gradient) {
  register_builtin_optimizers();
  const Tensor weight = model::tensor<float>({2, 2}, start).set_requires_grad();
  const auto text =
      config::parse_text(R"({"type": "sgd", "lr": 0.125, "groups": [{"pattern": "*", )" + group + "}]}", "test.json");
  const auto optimizer =
      config::parse<config::Component<OptimizerRegistry>>(text).create(std::vector<Parameter>{{"w", weight}});
  weight.set_grad(model::tensor<float>({2, 2}, gradient));
  Seen seen;
  optimizer->step(&seen);
  CHECK(seen.info.lr == 0.125);
  return weight.to_vector<double>();
}

}  // namespace

TEST_CASE("Weights of zeros take the step as it is, and no step at all stays one, under norm control") {
  for (const char* group : {R"("trust_ratio": 1)", R"("renormalize_every": 1)"}) {
    CAPTURE(std::string(group));
    CHECK(stepped(group, {0, 0, 0, 0}, {1, 0, 0, -2}) == Vector{-0.125, 0, 0, 0.25});
    CHECK(stepped(group, {1, 2, 3, 4}, {0, 0, 0, 0}) == Vector{1, 2, 3, 4});
  }
}

TEST_CASE("A later group switches norm control off again") {
  for (const char* off : {R"("trust_ratio": 0)", R"("renormalize_every": 0)"}) {
    CAPTURE(std::string(off));
    const std::string on = std::string(off).replace(std::string(off).size() - 1, 1, "1");
    CHECK(stepped(on, {3, 3, 3, 3}, {1, 1, 1, 1}) != Vector(4, 2.875));
    CHECK(stepped(on + R"(}, {"pattern": "*", )" + off, {3, 3, 3, 3}, {1, 1, 1, 1}) == Vector(4, 2.875));
  }
}

// w - lr ||w|| g / ||g||, here 3 - 0.125 * 6 * 0.5.
TEST_CASE("The trust ratio scales steps of gradients however small and large") {
  for (double size : {1e-30, 1e-8, 1.0, 1e10}) {
    CAPTURE(size);
    for (double w : stepped(R"("trust_ratio": 1)", {3, 3, 3, 3}, {size, size, size, size}))
      CHECK(w == doctest::Approx(2.625).epsilon(1e-6));
  }
}

TEST_CASE("The trust ratio scales the step of a momentum far above the gradient like any other") {
  const Tensor weight = model::tensor<float>({2}, {100, 0}).set_requires_grad();
  Sgd optimizer({{"w", weight}}, {.lr = 0.1, .momentum = 0.9, .groups = {{.pattern = "*", .trust_ratio = 0.01}}});
  double moved = 0;
  for (double size : {1e9, 1e-30, 1e-30}) {
    weight.set_grad(model::tensor<float>({2}, {0, size}));
    optimizer.step();
    CHECK(test::distance(weight, model::tensor<float>({2}, {100, moved -= 0.1})) < 1e-6);
  }
}
