// What probes see of modules, the loss and the optimizer, in the steps of a training, which they leave as it is.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <map>

#include "core/autograd/autograd.h"
#include "core/base/files.h"
#include "core/base/profile.h"
#include "core/base/threads.h"
#include "core/config/json_document.h"
#include "core/ops.h"
#include "core/tensor/create.h"
#include "experiments/step.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"

using namespace az;
using namespace az::experiments;
using test::has;

namespace {

// A chain of layers, three batches an epoch of which the last is short, two to a step.
Experiment experiment_with(const std::string& probes, const std::string& layers = R"(
    {"type": "conv2d", "out_channels": 16, "stride": 2, "padding": 1}, {"type": "batch_norm"}, {"type": "relu"},
    {"type": "global_avg_pool"}, {"type": "linear", "out_features": 10})") {
  register_builtin();
  return Experiment(config::parse<ExperimentConfig>(config::parse_text(
      R"({"seed": 5, "data": {"type": "shapes", "train_images": 40, "test_images": 8, "batch_size": 16},
  "model": {"type": "network", "layers": [)" +
          layers + R"(]}, "optimizer": {"type": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
  "train": {"accumulate": 2, "deterministic": true}, "probes": )" +
          probes + "}",
      "test")));
}

using Lines = std::vector<MetricLine>;

// Takes so many steps, watched by the experiment's probes, and gives what they report.
Lines train(Experiment& experiment, int64_t steps, bool watched = true) {
  Lines lines;
  auto at = experiment.train.begin();
  for (int64_t step = 0; step < steps; ++step) {
    if (!(at != experiment.train.end())) {
      experiment.train.set_epoch(step);
      at = experiment.train.begin();
    }
    Watching watching(step + 1);
    for (const NamedProbe& one : experiment.probes) watching.add(one);
    train_step(experiment, step, next_batches(at, experiment.config.train.accumulate), watched ? &watching : nullptr);
    if (watched) watching.report([&](const auto& kind, const auto& fields) { lines.push_back({kind, fields}); });
  }
  return lines;
}

// Sums over numbers, one after the other.
struct Sums {
  double count = 0, zeros = 0, sum = 0, squares = 0;
  void add(const Tensor& tensor) {
    for (double x : tensor.to_vector<double>()) ++count, zeros += x == 0, sum += x, squares += x * x;
  }
  double rms() const { return std::sqrt(squares / count); }
};

// A probe made of functions.
struct Made : Probe {
  Made() : Probe(1) {}
  bool watches(const nn::Module& module) const override { return sees(module); }
  void module(const nn::Module& module, const Tensor& x, const Tensor& y) override { on_module(module, x, y); }
  void gradient(const nn::Module& module, const Tensor& g) override { on_gradient(module, g); }
  void loss(const Tensor& loss) override { on_loss(loss); }
  void before(const Parameter& parameter, const Tensor& gradient) override { on_parameter(parameter, gradient); }
  std::vector<Quantity> columns() const override { return declared; }
  void report(const Write&) override { on_report(); }

  std::function<bool(const nn::Module&)> sees = [](const nn::Module&) { return true; };
  std::function<void(const nn::Module&, const Tensor&, const Tensor&)> on_module = [](auto&&...) {};
  std::function<void(const nn::Module&, const Tensor&)> on_gradient = [](auto&&...) {};
  std::function<void(const Tensor&)> on_loss = [](auto&&...) {};
  std::function<void(const Parameter&, const Tensor&)> on_parameter = [](auto&&...) {};
  std::function<void()> on_report = [] {};
  std::vector<Quantity> declared = {};
};

Made& add_probe(Experiment& experiment, std::unique_ptr<Made> probe) {
  Made& made = *probe;
  experiment.probes.push_back(named("made", std::move(probe), *experiment.model, experiment.probes));
  return made;
}

// Layers of every kind that are run together with others.
const char* const many_layers = R"({"type": "conv2d", "out_channels": 16, "stride": 2, "padding": 1}, {"type": "batch_norm"},
    {"type": "relu"}, {"type": "residual", "body": [{"type": "conv2d", "out_channels": 16, "padding": 1}, {"type": "batch_norm"},
    {"type": "relu"}, {"type": "conv2d", "out_channels": 16, "padding": 1}, {"type": "batch_norm"}]}, {"type": "dropout"},
    {"type": "global_avg_pool"}, {"type": "linear", "out_features": 10})";

}  // namespace

TEST_CASE("activations tells what its definitions give, in f64 layer by layer, on one thread and on two") {
  const int threads_before = thread_count();
  for (const int threads : {1, 2}) {
    set_thread_count(threads);
    Experiment experiment = experiment_with(R"([{"type": "activations", "every": 1}])");
    for (int64_t step = 0; step < 2; ++step) {
      // The same by hand: of the two batches of the step, the second one short in the second step.
      const nn::ModulePtr exact = experiment.model->clone();
      exact->to(DType::f64);
      auto at = experiment.train.begin();
      if (step == 1) next_batches(at, 2);
      const auto batches = next_batches(at, 2);
      double images = 0;
      for (const auto& batch : batches) images += double(batch.images.size(0));
      std::vector<Sums> outputs(5), gradients(5);
      for (const auto& batch : batches) {
        std::vector<Tensor> given;
        Tensor x = batch.images.to(DType::f64);
        for (size_t i = 0; i < 5; ++i) given.push_back(x = exact->module(std::to_string(i))(x));
        const Tensor loss = cross_entropy(x, batch.labels) * (double(batch.images.size(0)) / images);
        const auto found = grad(loss, given);
        for (size_t i = 0; i < 5; ++i) outputs[i].add(given[i]), gradients[i].add(found[i]);
      }

      Watching watching(step + 1);
      for (const NamedProbe& one : experiment.probes) watching.add(one);
      train_step(experiment, step, batches, &watching);
      Lines lines;
      watching.report([&](const auto& kind, const auto& fields) { lines.push_back({kind, fields}); });
      REQUIRE(lines.size() == 5);
      for (size_t i = 0; i < 5; ++i) {
        CAPTURE(i);
        const MetricLine& line = lines[i];
        CHECK(line.kind == "activations");
        CHECK(line.text("module") == std::to_string(i));
        CHECK(line.number("zeros") == doctest::Approx(outputs[i].zeros / outputs[i].count).epsilon(1e-4));
        CHECK(std::abs(line.number("mean") - outputs[i].sum / outputs[i].count) < 1e-5 * outputs[i].rms());
        CHECK(line.number("rms") == doctest::Approx(outputs[i].rms()).epsilon(1e-5));
        CHECK(line.number("gradient_rms") == doctest::Approx(gradients[i].rms()).epsilon(1e-4));
      }
      CHECK(lines[2].number("zeros") > 0.1);
      CHECK(lines[1].number("zeros") < 0.01);
    }
  }
  set_thread_count(threads_before);
}

TEST_CASE("a probe that watches every 0 steps is refused") {
  struct Never : Probe {
    explicit Never(int64_t every) : Probe(every) {}
    std::vector<Quantity> columns() const override { return {}; }
    void report(const Write&) override {}
  };
  CHECK_THROWS_WITH_AS(Never(0), "a probe watches every so many steps, 1 at least, got 0", Error);
  CHECK_THROWS_WITH_AS(Never(-3), "a probe watches every so many steps, 1 at least, got -3", Error);
  CHECK(Never(1).due(2));
}

TEST_CASE("activations watches the modules that fit its pattern; a frozen part has no gradient") {
  Experiment some = experiment_with(R"([{"type": "activations", "every": 1, "modules": "3.*"}])", many_layers);
  std::vector<std::string> paths;
  for (const MetricLine& line : train(some, 1)) {
    paths.push_back(line.text("module"));
    // An empty shortcut gives its input, whose gradient is of the body, too.
    CHECK(std::isnan(line.number("gradient_rms")) == (paths.back() == "3.shortcut"));
  }
  CHECK(paths == std::vector<std::string>{"3.shortcut", "3.body.0", "3.body.1", "3.body.2", "3.body.3", "3.body.4", "3.body"});
  Experiment frozen = experiment_with(R"([{"type": "activations", "every": 1}])");
  frozen.model->freeze("0.*");
  const Lines lines = train(frozen, 1);
  CHECK(std::isnan(lines.at(0).number("gradient_rms")));
  CHECK(lines.at(0).number("rms") > 0);
  CHECK(lines.at(1).number("gradient_rms") > 0);
}

TEST_CASE("a probe that watches one module has nothing computed for the others") {
  const auto norms = [](const std::string& probes) {
    Experiment experiment = experiment_with(probes, many_layers);
    const Profile profile;
    train(experiment, 1);
    int64_t calls = 0;
    for (const Profile::Entry& entry : profile.entries()) {
      if (entry.phase == Phase::forward && entry.op.starts_with("batch_norm")) calls += entry.calls;
    }
    return calls;
  };
  const auto watching = [](const std::string& modules) {
    return R"([{"type": "activations", "every": 1, "modules": ")" + modules + R"("}])";
  };
  const int64_t batches = 2, unwatched = norms("[]");
  CHECK(unwatched == 3 * batches);
  CHECK(norms(watching("0")) == unwatched);
  CHECK(norms(watching("1")) == unwatched + batches);
  CHECK(norms(watching("*")) > unwatched + batches);
}

TEST_CASE("a training has the same bits whatever its probes look at, draw and compute") {
  const auto state = [](bool watched) {
    Experiment experiment =
        experiment_with(R"([{"type": "activations", "every": 1}, {"type": "scale_invariance", "every": 1}])", many_layers);
    Made& nosy = add_probe(experiment, std::make_unique<Made>());
    int64_t looks = 0;
    const auto look = [&](const Tensor& t) { looks += mean(t + randn(t.shape())).item() > 0; };
    std::vector<double> drawn;
    nosy.on_module = [&](const nn::Module&, const Tensor& x, const Tensor& y) { look(x), look(y); };
    nosy.on_gradient = [&](const nn::Module&, const Tensor& g) { look(g); };
    nosy.on_parameter = [&](const Parameter& p, const Tensor&) { look(p.tensor.detach()); };
    nosy.on_report = [&] { drawn.push_back(randn({1}).item()); };
    nosy.on_loss = [&](const Tensor& loss) {
      std::vector<Tensor> weights;
      for (const Parameter& p : experiment.model->parameters()) weights.push_back(p.tensor);
      for (const Tensor& g : grad(loss, weights, {.retain_graph = true})) look(g);
    };
    const Lines lines = train(experiment, 6, watched);
    CHECK((looks > 0) == watched);
    CHECK(lines.empty() != watched);
    for (size_t i = 1; i < drawn.size(); ++i) CHECK(drawn[i] != drawn[i - 1]);
    std::map<std::string, std::vector<float>> all;
    for (const auto& [name, tensor] : experiment.model->state()) all[name] = tensor.to_vector<float>();
    for (const auto& [name, tensor] : experiment.optimizer->state()) all["optimizer " + name] = tensor.to_vector<float>();
    return all;
  };
  CHECK(state(true) == state(false));
}

TEST_CASE("the files of a run with a probe are those of one without, but for the probe's lines") {
  TemporaryFolder folder;
  const auto trained = [&](const std::string& probes) {
    const std::string config = (folder.path / "exp.json").string(),
                      run = (folder.path / ("run" + probes.substr(0, 5))).string();
    write_file(config, tiny_config(R"({"epochs": 2, "log_every": 1, "threads": 1})", probes));
    REQUIRE(run_azimuth({"train", config, "--run", run}).exit == 0);
    std::string steps;
    int64_t others = 0;
    for (const MetricLine& line : read_metrics(run + "/metrics.jsonl").lines) {
      if (line.kind == "step")
        steps += metrics_line(line.kind, line.fields);
      else if (line.kind == "epoch")
        steps += fmt::format("{} {}\n", line.number("train_loss"), line.number("test_loss"));
      else
        ++others;
    }
    return std::make_pair(steps + read_file(run + "/checkpoints/last/model.safetensors") +
                              read_file(run + "/checkpoints/last/optimizer.safetensors"),
                          others);
  };
  const auto [plain, none] = trained("");
  const auto [watched, lines] = trained(R"(, "probes": [{"type": "activations", "every": 3}])");
  CHECK(none == 0);
  CHECK(lines == 3 * 6);  // steps 1, 3 and 6 of six modules
  CHECK(watched == plain);
}

TEST_CASE("the gradients of batches that a probe takes of the loss add up to the step's, and backward() is refused") {
  Experiment experiment = experiment_with("[]");
  Made& probe = add_probe(experiment, std::make_unique<Made>());
  const Tensor weight = experiment.model->parameters()[0].tensor;
  std::vector<Tensor> noisy;
  int64_t passes = 0;
  probe.on_loss = [&](const Tensor& loss) { noisy.push_back(grad(loss, {weight}, {.retain_graph = true})[0]); };
  probe.on_gradient = [&](const nn::Module& module, const Tensor&) { passes += module.path() == "4"; };
  Tensor whole;
  probe.on_parameter = [&](const Parameter& p, const Tensor& g) {
    if (p.tensor.same(weight)) whole = g.clone();
  };
  train(experiment, 1);
  REQUIRE(noisy.size() == 2);
  CHECK(test::distance(noisy[0] * 0.5 + noisy[1] * 0.5, whole) < 1e-5);
  CHECK(test::distance(noisy[0], noisy[1]) > 0.1);
  CHECK(passes == 2);  // of the training, and not of the probe

  const auto complaint = [&](const std::function<void(const Tensor&)>& on_loss) {
    probe.on_loss = on_loss;
    return test::error_of([&] { train(experiment, 1); });
  };
  CHECK(complaint([](const Tensor& loss) { loss.backward({.retain_graph = true}); })
            .starts_with(
                "probe \"made\" at the loss: it changed the gradient of \"0.weight\", which is the training's; instead of "
                "backward(), take grad(loss, "));
  CHECK(complaint([](const Tensor&) { throw std::runtime_error("no"); }) == "probe \"made\" at the loss: no");
  CHECK(has(complaint([](const Tensor& loss) { loss + ones({7, 7}, DType::f64); }), "probe \"made\" at the loss: add: "));
}

// v'Hv by gradients of gradients, against second differences of the loss along v.
TEST_CASE("a probe of curvature differentiates the loss twice") {
  Experiment experiment = experiment_with("[]", R"({"type": "flatten"}, {"type": "linear", "out_features": 8}, {"type": "tanh"},
    {"type": "linear", "out_features": 10})");
  experiment.config.train.accumulate = 1;
  Made& probe = add_probe(experiment, std::make_unique<Made>());
  const Tensor weight = experiment.model->module("3").parameters()[0].tensor, v = randn(weight.shape());
  auto at = experiment.train.begin();
  const auto batches = next_batches(at, 1);
  const nn::ModulePtr exact = experiment.model->clone();
  exact->to(DType::f64);
  const auto loss_along = [&](double distance) {
    const NoGrad no_grad;
    const Tensor w = exact->module("3").parameters()[0].tensor;
    w.add_(v.to(DType::f64), distance);
    const double loss = cross_entropy((*exact)(batches[0].images.to(DType::f64)), batches[0].labels).item();
    w.add_(v.to(DType::f64), -distance);
    return loss;
  };
  const double h = 1e-3, expected = (loss_along(h) - 2 * loss_along(0) + loss_along(-h)) / (h * h);
  double curvature = 0;
  probe.on_loss = [&](const Tensor& loss) {
    const Tensor along = sum(grad(loss, {weight}, {.create_graph = true})[0] * v);
    curvature = sum(grad(along, {weight}, {.retain_graph = true})[0] * v).item();
  };
  Watching watching(1);
  watching.add(experiment.probes[0]);
  train_step(experiment, 0, batches, &watching);
  CHECK(curvature == doctest::Approx(expected).epsilon(1e-3));
  CHECK(curvature > 0);
}

TEST_CASE("what goes wrong in a probe of modules is told with its kind and the module") {
  Experiment experiment = experiment_with("[]");
  Made& probe = add_probe(experiment, std::make_unique<Made>());
  const auto complaint = [&](const std::function<void(const Tensor& x, const Tensor& y)>& look) {
    probe.on_module = [&, look](const nn::Module& module, const Tensor& x, const Tensor& y) {
      if (module.path() == "3") look(x, y);
    };
    return test::error_of([&] { train(experiment, 1); });
  };
  CHECK(has(complaint([](const Tensor&, const Tensor&) { throw 42; }), "probe \"made\" at \"3\": threw a value of type int"));
  CHECK(has(complaint([](const Tensor&, const Tensor& y) { y.mul_(2); }),
            "probe \"made\" at \"3\": it wrote to the output that it was shown; write to a clone() of it"));
  CHECK(has(complaint([](const Tensor& x, const Tensor&) { x.fill_(0); }),
            "probe \"made\" at \"3\": it wrote to the input that it was shown; write to a clone() of it"));
  CHECK(has(complaint([](const Tensor& x, const Tensor&) { x + ones({7}); }), "probe \"made\" at \"3\": add: "));
  probe.on_module = [](auto&&...) {};
  probe.on_gradient = [](const nn::Module& module, const Tensor& g) {
    if (module.path() == "2") g.fill_(0);
  };
  CHECK(has(test::error_of([&] { train(experiment, 1); }),
            "probe \"made\" at \"2\": it wrote to the gradient that it was shown; write to a clone() of it"));
}

TEST_CASE("probes that watch no module, or say otherwise than one of their kind what a number is of, are refused") {
  Experiment experiment = experiment_with("[]");
  const auto complaint = [&](const std::string& kind, const Quantity& quantity, bool sees) {
    auto probe = std::make_unique<Made>();
    probe->declared = {{.key = "other"}, quantity};
    probe->sees = [sees](const nn::Module& module) {
      CHECK_FALSE(module.path().empty());  // the network as a whole is not shown
      return sees;
    };
    return test::error_of(
        [&] { experiment.probes.push_back(named(kind, std::move(probe), *experiment.model, experiment.probes)); });
  };
  CHECK(complaint("mine", {.key = "a", .per = "module"}, false) ==
        "it watches none of the 5 modules of the network, and \"a\" is per module; `azimuth check` lists the modules");
  CHECK(complaint("mine", {.key = "a"}, false) == "no error");
  CHECK(complaint("mine", {.key = "a", .per = "module"}, true) ==
        "\"a\" is per module, and per step as another probe \"mine\" declares it");
  CHECK(complaint("yours", {.key = "a", .per = "module"}, true) == "no error");
  CHECK(complaint("yours", {.key = "b", .per = "module"}, true) == "no error");

  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string();
  write_file(config, tiny_config(R"({"epochs": 1})", R"(, "probes": [{"type": "activations", "modules": "conv9*"}])"));
  const CommandResult none = run_azimuth({"check", config});
  CHECK(none.exit == 2);
  CHECK(has(none.err, "probes.0: it watches none of the 6 modules of the network, and \"zeros\" is per module"));
  CHECK(has(run_azimuth({"describe", "activations"}).out, "which to watch, by path, with * and ?; null: all"));
}
