#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "core/base/files.h"
#include "core/config/json_document.h"
#include "core/ops/elementwise.h"
#include "core/ops/matmul.h"
#include "core/ops/reduce.h"
#include "core/tensor/create.h"
#include "experiments/experiment.h"
#include "experiments/probes/scale_invariance.h"
#include "optim/sgd.h"
#include "optim/sgdp.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"

using namespace az;
using namespace az::experiments;
using Vector = std::vector<double>;
using Line = std::map<std::string, MetricValue>;

namespace {

double dot(const Vector& a, const Vector& b, size_t begin, size_t end) {
  double sum = 0;
  for (size_t i = begin; i < end; ++i) sum += a[i] * b[i];
  return sum;
}

double norm(const Vector& a) { return std::sqrt(dot(a, a, 0, a.size())); }

Vector combined(double x, const Vector& a, double y, const Vector& b) {
  Vector sum(a.size());
  for (size_t i = 0; i < a.size(); ++i) sum[i] = x * a[i] + y * b[i];
  return sum;
}

Tensor leaf(const Shape& shape, const Vector& values) { return Tensor::of<double>(shape, values).set_requires_grad(); }

Vector random_vector(size_t n, uint64_t seed) {
  std::mt19937_64 engine(seed);
  Vector values(n);
  for (double& x : values) x = std::normal_distribution<double>()(engine);
  return values;
}

std::vector<Line> watched_step(Probe& probe, optim::Optimizer& optimizer) {
  optimizer.step(&probe);
  std::vector<Line> lines;
  probe.report([&](const MetricFields& fields) { lines.emplace_back(fields.begin(), fields.end()); });
  return lines;
}

double number(const Line& line, const std::string& key) { return std::get<double>(line.at(key)); }

}  // namespace

TEST_CASE("scale_invariance records what the definitions give, in f64") {
  const size_t rows = 5, length = 27;
  const Tensor w = leaf({5, 3, 3, 3}, random_vector(rows * length, 1)), bias = leaf({5}, random_vector(5, 2));
  const std::vector<Parameter> parameters = {{"conv.weight", w}, {"conv.bias", bias, ParameterKind::bias}};
  optim::Sgdp optimizer(parameters, {.lr = 0.3, .momentum = 0.9, .weight_decay = 0.01, .projection = "channel"});
  ScaleInvariance probe({.every = 1}, parameters);
  for (uint64_t step = 0; step < 4; ++step) {
    const Vector before = w.to_vector<double>(), g = random_vector(rows * length, 10 + step);
    w.set_grad(Tensor::of<double>({5, 3, 3, 3}, g));
    bias.set_grad(Tensor::of<double>({5}, random_vector(5, 20)));
    const auto lines = watched_step(probe, optimizer);
    REQUIRE(lines.size() == 1);  // not the bias
    const Line& line = lines[0];
    const Vector after = w.to_vector<double>(), d = combined(1, after, -1, before);
    const Vector unit = combined(1 / norm(before), before, 0, before), unit_after = combined(1 / norm(after), after, 0, after);
    double largest = 0, mean = 0;
    for (size_t row = 0; row < rows; ++row) {
      const size_t a = row * length, b = a + length;
      const double cosine = std::fabs(dot(before, g, a, b)) / std::sqrt(dot(before, before, a, b) * dot(g, g, a, b));
      largest = std::max(largest, cosine * std::sqrt(27.0));
      mean += cosine * std::sqrt(27.0) / 5;
    }
    const double radial = dot(d, unit, 0, d.size());
    const std::map<std::string, double> expected = {
        {"norm", norm(before)},
        {"gradient_norm", norm(g)},
        {"scaled_cosine", std::fabs(dot(before, g, 0, g.size())) / (norm(before) * norm(g)) * std::sqrt(135.0)},
        {"scaled_channel_cosine_max", largest},
        {"scaled_channel_cosine_mean", mean},
        {"effective_lr", 0.3 / dot(before, before, 0, before.size())},
        {"norm_power", 2},
        {"effective_step", norm(combined(1, unit_after, -1, unit))},
        {"angle", 2 * std::atan2(norm(combined(1, unit_after, -1, unit)), norm(combined(1, unit_after, 1, unit)))},
        {"equilibrium_angle", std::sqrt(2 * 0.3 * 0.01 * 0.1 / (1 - 0.9))},
        {"radial", radial},
        {"tangential", norm(combined(1, d, -radial, unit))}};
    for (const auto& [key, value] : expected) {
      CAPTURE(key);
      CHECK(number(line, key) == doctest::Approx(value).epsilon(1e-12));
    }
    CHECK(std::get<std::string>(line.at("parameter")) == "conv.weight");
    CHECK(std::get<std::string>(line.at("projected")) == "channel");
    CHECK(line.size() == expected.size() + 2);
  }
}

TEST_CASE("The recorded cosines have the eps that the optimizer's rule has, so that they tell whether it fired") {
  const Tensor w = leaf({1, 2}, {3, 4});
  optim::Sgdp optimizer({{"w", w}}, {.lr = 0.1, .eps = 0.5});
  ScaleInvariance probe({.every = 1}, optimizer.parameters());
  w.set_grad(Tensor::of<double>({1, 2}, {0.01, 0}));
  const Line line = watched_step(probe, optimizer).at(0);
  const double cosine = 3 * 0.01 / (5 * 0.5) * std::sqrt(2.0);  // ||g|| is 0.01
  for (const char* key : {"scaled_cosine", "scaled_channel_cosine_max", "scaled_channel_cosine_mean"})
    CHECK(number(line, key) == doctest::Approx(cosine));
  CHECK(std::get<std::string>(line.at("projected")) == "channel");
}

// ||w'||^2 = ||w||^2 + lr^2 ||p_t||^2 + 2 lr^2 sum_{k<t} b^(t-k) ||p_k||^2, the step being lr p: Heo et al. 2021.
TEST_CASE("The norms and steps recorded of a scale-invariant weight obey the momentum identity") {
  const Tensor w = leaf({1, 6}, random_vector(6, 4)), target = Tensor::of<double>({6, 1}, random_vector(6, 5));
  optim::Sgd optimizer({{"w", w}}, {.lr = 0.5, .momentum = 0.9});
  ScaleInvariance probe({.every = 1}, optimizer.parameters());
  double squared = dot(w.to_vector<double>(), w.to_vector<double>(), 0, 6), memory = 0;
  for (int step = 0; step < 60; ++step) {
    optimizer.zero_grad();
    (-sum(matmul(w, target)) / sqrt(sum(w * w))).backward();
    const Line line = watched_step(probe, optimizer).at(0);
    CHECK(number(line, "norm") * number(line, "norm") == doctest::Approx(squared).epsilon(1e-13));
    CHECK(number(line, "scaled_cosine") < 1e-12);
    CHECK(std::isnan(number(line, "equilibrium_angle")));
    const double move = std::pow(number(line, "radial"), 2) + std::pow(number(line, "tangential"), 2);
    squared += move + 2 * memory;  // memory = sum_{k<t} b^(t-k) (lr ||p_k||)^2
    memory = 0.9 * (memory + move);
  }
  CHECK(squared > 2 * dot(random_vector(6, 4), random_vector(6, 4), 0, 6));  // it did grow
}

TEST_CASE("Small turns keep their digits, in f32 too; a weight of zeros has no direction") {
  const Tensor w = Tensor::of<float>({1, 2}, {1, 0}).set_requires_grad(), zeros = leaf({1, 2}, {0, 0});
  optim::Sgd optimizer({{"w", w}, {"zeros", zeros}}, {.lr = 1});
  ScaleInvariance probe({.every = 1}, optimizer.parameters());
  w.set_grad(Tensor::of<float>({1, 2}, {0, -1e-9F}));
  zeros.set_grad(Tensor::of<double>({1, 2}, {1, 0}));
  const auto lines = watched_step(probe, optimizer);
  CHECK(number(lines[0], "angle") == doctest::Approx(1e-9));
  CHECK(number(lines[0], "effective_step") == doctest::Approx(1e-9));
  for (const char* key : {"angle", "effective_step", "radial", "tangential"}) CHECK(std::isnan(number(lines[1], key)));
  for (const char* key : {"scaled_cosine", "scaled_channel_cosine_max", "scaled_channel_cosine_mean"})
    CHECK(number(lines[1], key) == 0);
  CHECK(number(lines[1], "gradient_norm") == 1);
}

TEST_CASE("A probe watches the first step and every so many") {
  const ScaleInvariance probe({.every = 50}, {});
  for (int64_t step : {1, 50, 100}) CHECK(probe.due(step));
  for (int64_t step : {2, 49, 51}) CHECK_FALSE(probe.due(step));
}

TEST_CASE(
    "The pattern selects by name, without one all of more than one dimension; effective_lr has the parameter's own rate") {
  const std::vector<Parameter> parameters = {{"conv.weight", leaf({1, 2}, {3, 4})},
                                             {"conv.bias", leaf({2}, {1, 1}), ParameterKind::bias},
                                             {"fc.weight", leaf({1, 2}, {0, 2})}};
  const auto watched = [&](std::optional<std::string> pattern) {
    optim::Sgd optimizer(parameters, {.lr = 0.5, .groups = {{.pattern = "fc.*", .lr_factor = 0.1}}});
    ScaleInvariance probe({.every = 1, .parameters = pattern}, parameters);
    for (const Parameter& p : parameters) p.tensor.set_grad(zeros(p.tensor.shape(), DType::f64));
    std::map<std::string, double> rates;
    for (const Line& line : watched_step(probe, optimizer))
      rates[std::get<std::string>(line.at("parameter"))] = number(line, "effective_lr");
    return rates;
  };
  using Rates = std::map<std::string, double>;
  CHECK(watched({}) == Rates{{"conv.weight", 0.5 / 25}, {"fc.weight", 0.5 * 0.1 / 4}});
  CHECK(watched("conv.*") == Rates{{"conv.bias", 0.5 / 2}, {"conv.weight", 0.5 / 25}});
  CHECK(watched("f?.weight") == Rates{{"fc.weight", 0.5 * 0.1 / 4}});
}

namespace {

// One that says nothing of how its steps turn a weight.
class Silent : public optim::Optimizer {
 public:
  explicit Silent(std::vector<Parameter> parameters, std::vector<optim::GroupOptions> groups = {})
      : Optimizer("silent", std::move(parameters), 0.1, 0, groups, {}) {}

 protected:
  optim::UpdateInfo update(Parameter& parameter, const Tensor& gradient, const optim::Group& group,
                           optim::ParameterState&) override {
    double* w = parameter.tensor.mutable_data<double>();
    for (int64_t i = 0; i < gradient.numel(); ++i) w[i] -= group.lr * gradient.data<double>()[i];
    return {};
  }
};

}  // namespace

TEST_CASE(
    "An optimizer that does not say how its steps turn a weight has no effective learning rate; one from zeros has none") {
  const Tensor w = leaf({1, 2}, {3, 4}), zeros = leaf({1, 2}, {0, 0});
  for (const Tensor& tensor : {w, zeros}) tensor.set_grad(Tensor::of<double>({1, 2}, {4, -3}));
  const auto rate = [](optim::Optimizer& optimizer) {
    ScaleInvariance probe({.every = 1}, optimizer.parameters());
    const Line line = watched_step(probe, optimizer).at(0);
    CHECK(std::isnan(number(line, "effective_lr")) ==
          test::has(metrics_line("x", MetricFields(line.begin(), line.end())), "\"effective_lr\":null"));
    return number(line, "effective_lr");
  };
  Silent silent({{"w", w}});
  CHECK(std::isnan(rate(silent)));
  // The step is as long as the group says, and across the weight, whoever makes it.
  Silent in_a_group({{"w", w}}, {{.pattern = "w", .trust_ratio = 0.5}});
  w.set_grad(Tensor::of<double>({1, 2}, {w.to_vector<double>()[1], -w.to_vector<double>()[0]}));
  CHECK(rate(in_a_group) == doctest::Approx(0.1 * 0.5));
  optim::Sgd sgd({{"zeros", zeros}}, {.lr = 0.1, .groups = {{.pattern = "*", .trust_ratio = 0.5}}});
  CHECK(std::isnan(rate(sgd)));
}

TEST_CASE("Two probes watch one training, each its own steps; what both see of a parameter is written once") {
  // The steps seen of the convolution and of the classifier, in six.
  using Steps = std::vector<std::vector<int>>;
  const auto seen = [](const std::string& first, const std::string& second) {
    TemporaryFolder folder;
    const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
    const std::string probe = R"({"type": "scale_invariance", )";
    write_file(config, tiny_config(R"({"epochs": 2, "max_steps": 6})",
                                   R"(, "probes": [)" + probe + first + "}, " + probe + second + "}]"));
    REQUIRE(run_azimuth({"train", config, "--run", run}).exit == 0);
    std::istringstream lines(read_file(run + "/metrics.jsonl"));
    std::map<std::string, std::vector<int>> steps;
    for (std::string text; std::getline(lines, text);) {
      const auto line = nlohmann::json::parse(text);
      if (line.at("kind") == "scale_invariance") steps[line.at("parameter")].push_back(line.at("step"));
    }
    Steps all;
    for (const auto& [parameter, of_it] : steps) all.push_back(of_it);
    return all;
  };
  CHECK(seen(R"("every": 2, "parameters": "*0.weight")", R"("every": 3, "parameters": "*5.weight")") ==
        Steps{{1, 2, 4, 6}, {1, 3, 6}});
  CHECK(seen(R"("every": 2)", R"("every": 3, "parameters": "*5.weight")") == Steps{{1, 2, 4, 6}, {1, 2, 3, 4, 6}});
}

TEST_CASE("check knows probes, and says which parameters there are none of") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string();
  const auto check = [&](const std::string& probe) {
    write_file(config, tiny_config(R"({"epochs": 1})", R"(, "probes": [)" + probe + "]"));
    return run_azimuth({"check", config});
  };
  CHECK(check(R"({"type": "scale_invariance", "parameters": "*.weight"})").exit == 0);
  const CommandResult none = check(R"({"type": "scale_invariance", "parameters": "conv9*"})");
  CHECK(none.exit == 2);
  CHECK(none.err.find("probes.0: parameters: none of the 6 parameters fits \"conv9*\"") != std::string::npos);
  const auto frozen = [&](const std::string& pattern) {
    return run_azimuth({"check", config, "--set", "probes.0.parameters=" + pattern, "--set",
                        R"(optimizer.groups=[{"dims": 2, "frozen": true}, {"dims": 4, "frozen": true}])"});
  };
  CHECK(frozen("*0.weight").exit == 2);
  CHECK(frozen("*0.weight").err.find("probes.0: parameters: all that fit \"*0.weight\" are frozen, and no step moves them") !=
        std::string::npos);
  CHECK(frozen("null").err.find("probes.0: parameters: all of more than one dimension are frozen") != std::string::npos);
  CHECK(frozen("*").exit == 0);
  CHECK(check(R"({"type": "scale_invariance", "every": 0})").err.find("probes.0.every") != std::string::npos);
  CHECK(check(R"({"type": "scale_invarance"})").err.find("did you mean \"scale_invariance\"?") != std::string::npos);
  CHECK(run_azimuth({"describe", "scale_invariance"}).out.find("every") != std::string::npos);
}
