// Options of "train" reach the step: each figure is worked out here, and another one without the option.
#include "experiments/step.h"

#include <doctest/doctest.h>

#include <cmath>

#include "core/base/threads.h"
#include "core/config/json_document.h"
#include "core/ops/elementwise.h"
#include "core/tensor/create.h"
#include "nn/registry.h"
#include "tests/experiments/tiny.h"

using namespace az;
using namespace az::experiments;

namespace {

using Weights = std::map<std::string, std::vector<double>>;

Weights weights_of(const Experiment& experiment) {
  Weights result;
  for (const Parameter& parameter : experiment.model->parameters())
    result[parameter.name] = parameter.tensor.to_vector<double>();
  return result;
}

struct Made {
  double loss;                      // of the step
  std::vector<double> logits;       // of its batch
  std::vector<int64_t> labels;      // likewise
  std::vector<double> differences;  // of every weight, over the learning rate
};

// One step of plain SGD on a linear network: it moves each weight by the learning rate times its gradient.
Made step_with(const std::string& train) {
  register_builtin();
  const std::string text = R"({"seed": 5, "data": {"type": "shapes", "train_images": 24, "test_images": 8, "batch_size": 24},
    "model": {"type": "network", "layers": [{"type": "flatten"}, {"type": "linear", "out_features": 10}]},
    "optimizer": {"type": "sgd", "lr": 0.5}, "train": )" +
                           train + "}";
  Experiment experiment(config::parse<ExperimentConfig>(config::parse_text(text, "test")));
  auto at = experiment.train.begin();
  const auto batches = next_batches(at, 1);
  const Weights before = weights_of(experiment);
  Made made{.loss = 0,
            .logits = (*experiment.model)(batches[0].images).to_vector<double>(),
            .labels = batches[0].labels.to_vector<int64_t>(),
            .differences = {}};
  made.loss = train_step(experiment, 0, batches).loss;
  for (const auto& [name, after] : weights_of(experiment)) {
    for (size_t i = 0; i < after.size(); ++i) made.differences.push_back((before.at(name)[i] - after[i]) / 0.5);
  }
  return made;
}

// Adds a parameter, or does not.
struct ShiftOptions {
  std::string use;
  static void fields(auto& f) { f("use", &ShiftOptions::use, "when"); }
};
struct Shift : nn::Layer<Shift> {
  explicit Shift(ShiftOptions given) : options(std::move(given)) {
    add_parameter("shift", ones({1}));
    parameter("shift").set_requires_grad(options.use != "frozen");
  }
  Tensor forward(const Tensor& x) override {
    const Tensor& shift = parameter("shift");
    calls += GradMode::enabled();
    if (options.use == "by zero") return x + shift * 0.0;
    const bool uses = options.use == "always" || (options.use == "second batch" && calls == 2);
    return uses ? x + shift : x + shift.detach();
  }
  ShiftOptions options;
  int64_t calls = 0;
};

// Forgets all gradients as it moves the first parameter.
struct Forgetful : optim::Optimizer {
  explicit Forgetful(const std::vector<Parameter>& list) : Optimizer("forgetful", list, 0.1, 0, {}, {}) {}
  optim::UpdateInfo update(Parameter&, const Tensor&, const optim::Group&, optim::ParameterState&) override {
    zero_grad();
    return {};
  }
};

std::string config_with_shift(const std::string& train, const std::string& use) {
  static const bool once = [] {
    register_builtin();
    nn::LayerRegistry::add<ShiftOptions>("shift of a step", "adds a number", [](const ShiftOptions& options, const Shape&) {
      return std::make_unique<Shift>(options);
    });
    return true;
  }();
  static_cast<void>(once);
  return R"({"data": {"type": "shapes", "train_images": 24, "test_images": 8, "batch_size": 12},
    "model": {"type": "network", "layers": [{"type": "flatten"}, {"type": "shift of a step", "use": ")" +
         use + R"("}, {"type": "linear", "out_features": 10}]}, "optimizer": {"type": "sgd", "lr": 0.5}, "train": )" + train +
         "}";
}

double norm(const std::vector<double>& x) {
  double squares = 0;
  for (double value : x) squares += value * value;
  return std::sqrt(squares);
}

double largest(const std::vector<double>& x) {
  double result = 0;
  for (double value : x) result = std::max(result, std::abs(value));
  return result;
}

// Mean over the images of -sum_c q_c log p_c, with q = (1 - smoothing) one_hot(label) + smoothing / classes.
double smoothed_loss(const Made& made, double smoothing) {
  double sum = 0;
  for (size_t image = 0; image < made.labels.size(); ++image) {
    const double* logits = made.logits.data() + 10 * image;
    double exponentials = 0;
    for (int c = 0; c < 10; ++c) exponentials += std::exp(logits[c]);
    for (int c = 0; c < 10; ++c) {
      const double share = smoothing / 10 + (c == made.labels[image] ? 1 - smoothing : 0);
      sum -= share * (logits[c] - std::log(exponentials));
    }
  }
  return sum / double(made.labels.size());
}

}  // namespace

TEST_CASE("train.label_smoothing is the loss's") {
  const Made plain = step_with("{}"), smooth = step_with(R"({"label_smoothing": 0.4})");
  CHECK(plain.loss == doctest::Approx(smoothed_loss(plain, 0)).epsilon(1e-5));
  CHECK(smooth.loss == doctest::Approx(smoothed_loss(smooth, 0.4)).epsilon(1e-5));
  CHECK(std::abs(smoothed_loss(smooth, 0.4) - smoothed_loss(smooth, 0)) > 1e-2);
}

TEST_CASE("train.clip_norm and train.clip_value bound what a step does") {
  const Made plain = step_with("{}");
  const double length = norm(plain.differences), peak = largest(plain.differences);
  const Made by_norm = step_with(R"({"clip_norm": )" + std::to_string(length / 4) + "}");
  CHECK(norm(by_norm.differences) == doctest::Approx(length / 4).epsilon(1e-4));
  CHECK(largest(by_norm.differences) == doctest::Approx(peak / 4).epsilon(1e-4));  // all scaled alike
  const Made by_value = step_with(R"({"clip_value": )" + std::to_string(peak / 4) + "}");
  CHECK(largest(by_value.differences) == doctest::Approx(peak / 4).epsilon(1e-4));
  double expected = 0;
  for (double difference : plain.differences) expected += std::pow(std::min(std::abs(difference), peak / 4), 2);
  CHECK(norm(by_value.differences) == doctest::Approx(std::sqrt(expected)).epsilon(1e-4));
  CHECK(std::sqrt(expected) < 0.95 * length);
}

TEST_CASE("which parameters no gradient reached is seen before the update, which may forget gradients") {
  const auto unreached = [](const std::string& train, const std::string& use) {
    Experiment experiment(config::parse<ExperimentConfig>(config::parse_text(config_with_shift(train, use), "test")));
    experiment.optimizer = std::make_unique<Forgetful>(experiment.model->parameters());
    auto at = experiment.train.begin();
    const auto batches = next_batches(at, experiment.config.train.accumulate);
    const StepResult result = train_step(experiment, 0, batches);
    CHECK(without_gradient(experiment.optimizer->parameters()).size() >= 2);  // the update forgot them
    return result.without_gradient;
  };
  for (const std::string train : {"{}", R"({"accumulate": 2})", R"({"clip_norm": 0.1})", R"({"clip_value": 0.1})"}) {
    CAPTURE(train);
    CHECK(unreached(train, "always") == std::vector<std::string>{});
    CHECK(unreached(train, "never") == std::vector<std::string>{"1.shift"});
    CHECK(unreached(train, "by zero") == std::vector<std::string>{});
    CHECK(unreached(train, "frozen") == std::vector<std::string>{});
  }
  CHECK(unreached(R"({"accumulate": 2})", "second batch") == std::vector<std::string>{});
  CHECK(unreached("{}", "second batch") == std::vector<std::string>{"1.shift"});
}

TEST_CASE("train.threads sets the number of threads, and says so") {
  const int before = thread_count();
  const std::string origin = thread_count_origin();
  for (int threads : {1, 2, 3}) {
    step_with(R"({"threads": )" + std::to_string(threads) + "}");
    CHECK(thread_count() == threads);
    CHECK(thread_count_origin() == "train.threads");
  }
  set_thread_count(before, origin);
}
