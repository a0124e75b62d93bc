// What a report predicts of squared norms, and where it says that it cannot.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/config/json_document.h"
#include "experiments/report/norm_identity.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/report_page.h"

using namespace az;
using namespace az::experiments;
using test::has;
using Json = nlohmann::json;

namespace {

// 200 steps of momentum on f = -cos(w, u) in double, as the probe would see them: of the gradient, whose step turns w by
// lr / ||w||^2, or of the gradient over its norm, by lr / ||w||.
Table simulated(double beta, double norm_power) {
  std::vector<double> w = {0.3, 1.1, -0.4}, p(3), u = {0, -0.6, 0.8};
  const auto dot = [](const auto& a, const auto& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; };
  Table layer;
  for (int t = 1; t <= 200; ++t) {
    const double lr = 0.05 / (1 + 0.01 * t), norm = std::sqrt(dot(w, w)), cosine = dot(w, u) / norm;
    std::vector<double> step(3), gradient(3);
    for (size_t i = 0; i < 3; ++i) gradient[i] = -(u[i] - cosine * w[i] / norm) / norm;
    const double scale = norm_power == 2 ? 1 : 1 / std::sqrt(dot(gradient, gradient));
    for (size_t i = 0; i < 3; ++i) {
      p[i] = beta * p[i] + scale * gradient[i];
      step[i] = -lr * p[i];
    }
    const double radial = dot(step, w) / norm;
    layer.step.push_back(t);
    layer.columns["norm"].push_back(norm);
    layer.columns["effective_lr"].push_back(lr / std::pow(norm, norm_power));
    layer.columns["norm_power"].push_back(norm_power);
    layer.columns["radial"].push_back(radial);
    layer.columns["tangential"].push_back(std::sqrt(dot(step, step) - radial * radial));
    for (size_t i = 0; i < 3; ++i) w[i] += step[i];
  }
  return layer;
}

}  // namespace

TEST_CASE("the momentum identity, against a simulation of momentum in double, whatever the effective rate is a power of") {
  const double beta = 0.9;
  for (const double norm_power : {1.0, 2.0}) {
    CAPTURE(norm_power);
    Table layer = simulated(beta, norm_power);
    const auto largest_error = [&](double momentum) {
      const std::vector<double> predicted = predicted_norm_squared(layer, momentum);
      double error = 0;
      for (size_t t = 0; t < predicted.size(); ++t)
        error = std::max(error, std::abs(predicted[t] / std::pow(layer.columns["norm"][t], 2) - 1));
      return error;
    };
    CHECK(largest_error(beta) < 1e-12);
    CHECK(largest_error(0.89) > 1e-3);
    Table unknown = layer;
    unknown.columns["effective_lr"][50] = NAN;
    std::vector<double> predicted = predicted_norm_squared(unknown, beta);
    CHECK(std::isfinite(predicted[50]));
    CHECK(std::isnan(predicted[51]));
    CHECK(std::isnan(predicted[60]));
    CHECK(predicted_norm_squared(unknown, 0)[199] == predicted_norm_squared(layer, 0)[199]);  // which takes no rate
    Table older = layer;                                                                      // of before there were powers
    older.columns["norm_power"].assign(older.rows(), NAN);
    if (norm_power == 2) CHECK(predicted_norm_squared(older, beta)[199] == predicted_norm_squared(layer, beta)[199]);
    layer.step[100] = 102;  // a step that was not watched
    predicted = predicted_norm_squared(layer, beta);
    CHECK(std::isfinite(predicted[99]));
    CHECK(std::isnan(predicted[100]));
    layer.step[1] = 3;  // nothing follows from the first
    CHECK(std::isnan(predicted_norm_squared(layer, beta)[0]));
  }
}

TEST_CASE("a report says where a rule needs a rate that the optimizer does not tell") {
  TemporaryFolder temporary;
  const auto run_of = [&](const std::string& name, double beta, const std::optional<double>& rate) {
    std::string lines;
    for (int64_t step = 1; step <= 3; ++step)
      lines += metrics_line("scale_invariance", {{"step", step},
                                                 {"epoch", int64_t(1)},
                                                 {"parameter", std::string("w")},
                                                 {"norm", std::sqrt(1 + 0.01 * double(step - 1))},
                                                 {"effective_lr", rate},
                                                 {"norm_power", 2.0},
                                                 {"radial", 0.0},
                                                 {"tangential", 0.1}});
    const std::string folder = write_run(temporary.path / name, lines);
    write_file(folder + "/measurements.json",
               fmt::format(R"({{"kinds": [], "norm_rule": {{"beta": {}, "words": "a rule of its own"}}}})", beta));
    return only_run<Json>(folder)["probe"];
  };
  Json probe = run_of("momentum", 0.9, {});
  CHECK(probe["rule"] == "no prediction: it takes the learning rate, and the optimizer does not say its effective rate");
  CHECK(probe["norm_squared_predicted"][1].empty());
  CHECK(probe["gap"][1].is_null());
  CHECK(run_of("told", 0.9, 0.1)["rule"] == "a rule of its own");
  probe = run_of("plain", 0, {});
  CHECK(probe["rule"] == "a rule of its own");
  CHECK(probe["gap"][1].get<double>() < 1e-6);
}

TEST_CASE("where the norm is not predicted, the report says why") {
  const auto rule = [](const std::string& optimizer) {
    return norm_rule(config::parse_text("{\"optimizer\": " + optimizer + "}", "config.json"));
  };
  CHECK(rule(R"({"type": "sgd", "momentum": 0.95})").beta == 0.95);
  CHECK(rule(R"({"type": "sgd"})").beta == 0);
  CHECK(rule(R"({"type": "sgdp", "momentum": 0.9, "nesterov": true})").beta == 0);
  CHECK_FALSE(rule(R"({"type": "sgdp", "projection": "never"})").beta);
  CHECK(has(rule(R"({"type": "sgd", "momentum": 0.9, "nesterov": true})").words, "Nesterov"));
  CHECK(has(rule(R"({"type": "sgd", "weight_decay": 1e-4})").words, "weight decay"));
  CHECK(has(rule(R"({"type": "sgd", "groups": [{"kind": "weight", "trust_ratio": 0.001}]})").words, "trust"));
  CHECK(has(rule(R"({"type": "adam"})").words, "this is adam"));
  CHECK(has(rule(R"({"type": "sgd"}, "train": {"average": {"type": "lookahead"}})").words, "lookahead"));
  CHECK(has(rule(R"({"type": "sgd"}, "train": {"clip_value": 0.1})").words, "clipped by value"));
  CHECK(rule(R"({"type": "sgd"}, "train": {"clip_value": null, "clip_norm": 1})").beta == 0);
  CHECK(has(rule(R"({"type": "sgdp"}, "train": {"clip_value": 0.1})").words, "clipped by value"));  // it is not projected then
  CHECK(rule(R"({"type": "sgdp", "projection": "layer"}, "train": {"clip_value": 0.1})").beta == 0);
  CHECK(has(rule("null").words, "not known"));
}
