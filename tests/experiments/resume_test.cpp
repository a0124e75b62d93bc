#include <doctest/doctest.h>

#include <cmath>
#include <csignal>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/base/files.h"
#include "core/config/json_document.h"
#include "experiments/trainer.h"
#include "tests/compare.h"
#include "tests/core/direct_conv.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/tiny.h"

using namespace az;
using namespace az::experiments;

namespace {

int64_t signal_at = -1;   // the step (from 0) in which a SIGTERM arrives
bool is_running = false;  // a schedule is asked before the training, too
int64_t explode_at = -1;  // the step with this learning rate, which ruins the weights
double explosion = 1e37;

struct SignallingOptions {
  static void fields(auto&) {}
};

// A falling learning rate, the signal and the explosion: in a training, a schedule is asked exactly once a step.
void register_signalling_schedule() {
  register_builtin();
  static const bool once = [] {
    optim::ScheduleRegistry::add<SignallingOptions>("signalling", "for tests", [](const SignallingOptions&) -> optim::Schedule {
      return [](const optim::Moment& moment) {
        if (is_running && moment.step == signal_at) std::raise(SIGTERM);
        return moment.step == explode_at ? 10 * explosion : 1.0 / double(1 + moment.step);
      };
    });
    return true;
  }();
  static_cast<void>(once);
}

ExperimentConfig parse(const std::string& text) {
  register_signalling_schedule();
  return config::parse<ExperimentConfig>(config::parse_text(text, "test"));
}

std::string with_schedule(std::string text) {
  const std::string from = R"("cosine")";
  return text.replace(text.find(from), from.size(), R"("signalling")");
}

// metrics.jsonl without what a clock measured.
std::vector<nlohmann::json> metrics(const std::filesystem::path& folder) {
  std::vector<nlohmann::json> lines;
  std::istringstream in(read_file((folder / "metrics.jsonl").string()));
  for (std::string line; std::getline(in, line);) {
    lines.push_back(nlohmann::json::parse(line));
    lines.back().erase("seconds");
    lines.back().erase("images_per_second");
  }
  return lines;
}

TrainingResult train(const ExperimentConfig& config, const std::filesystem::path& folder, bool resume) {
  std::filesystem::create_directories(folder);
  Experiment experiment(config);
  Trainer trainer(experiment, folder.string(), {.show_progress = false});
  if (resume) trainer.restore();
  is_running = true;
  const TrainingResult result = trainer.run();
  is_running = false;
  return result;
}

void check_same_run(const std::filesystem::path& a, const std::filesystem::path& b) {
  CHECK(metrics(a) == metrics(b));
  for (const char* file : {"last/model", "last/optimizer", "best/model", "best/optimizer"}) {
    const std::string name = std::string("checkpoints/") + file + ".safetensors";
    CHECK_MESSAGE(read_file((a / name).string()) == read_file((b / name).string()), name);
  }
  for (const char* name : {"checkpoints/last/average.safetensors", "checkpoints/best/average.safetensors"}) {
    CHECK(std::filesystem::exists(a / name) == std::filesystem::exists(b / name));
    if (std::filesystem::exists(a / name))
      CHECK_MESSAGE(read_file((a / name).string()) == read_file((b / name).string()), name);
  }
}

// The tiny network behind a layer that starts from the data, with an average of its weights.
ExperimentConfig averaging(const std::string& average) {
  std::string text = with_schedule(tiny_config(R"({"epochs": 3, "log_every": 1, "average": )" + average +
                                               R"(, "evaluation": {"every_epochs": 2, "test_time_augmentation": "flip"}})"));
  const std::string first = R"("layers": [)";
  return parse(text.replace(text.find(first), first.size(), first + R"({"type": "whitening"}, )"));
}

}  // namespace

TEST_CASE("a run stopped in any step resumes to the same bits as one left alone") {
  const ExperimentConfig config = parse(with_schedule(
      tiny_config(R"({"epochs": 3, "log_every": 1})", R"(, "probes": [{"type": "scale_invariance", "every": 5}])")));
  TemporaryFolder folder;
  signal_at = -1;
  const TrainingResult whole = train(config, folder.path / "whole", false);
  CHECK(whole.exit == Exit::done);
  CHECK(whole.step == 12);
  CHECK(metrics(folder.path / "whole").size() == 12 + 3 + 3 * 2);  // two weights are watched at steps 1, 5 and 10
  for (int64_t step = 0; step < 12; ++step) {
    CAPTURE(step);
    const auto stopped = folder.path / ("stopped" + std::to_string(step));
    signal_at = step;
    const TrainingResult part = train(config, stopped, false);
    signal_at = -1;
    CHECK(part.exit == Exit::terminated);
    CHECK(part.step == step + 1);
    CHECK(train(config, stopped, true).exit == Exit::done);
    check_same_run(folder.path / "whole", stopped);
  }
}

TEST_CASE("a run in bf16 resumes to the same bits, too") {
  if (test::skipped_without_bf16()) return;
  const ExperimentConfig config = parse(with_schedule(tiny_config(R"({"epochs": 3, "log_every": 1, "precision": "bf16"})")));
  TemporaryFolder folder;
  train(config, folder.path / "whole", false);
  signal_at = 6;
  CHECK(train(config, folder.path / "stopped", false).step == 7);
  signal_at = -1;
  train(config, folder.path / "stopped", true);
  check_same_run(folder.path / "whole", folder.path / "stopped");
  // It is the precision that the checkpoint names which counts.
  const std::string state = (folder.path / "whole/checkpoints/last/state.json").string();
  CHECK(nlohmann::json::parse(read_file(state))["precision"] == "bf16");
  Experiment experiment(config);
  experiment.use_precision(DType::f32);
  Trainer(experiment, (folder.path / "whole").string(), {.show_progress = false}).restore();
  CHECK(experiment.precision() == DType::bf16);
}

TEST_CASE("a run whose optimizer leaves some parameters to others resumes likewise, from the config that it recorded") {
  std::string text =
      with_schedule(tiny_config(R"({"epochs": 3, "log_every": 1})", R"(, "probes": [{"type": "scale_invariance"}])"));
  const size_t begin = text.find(R"({"type": "sgdp")"), end = text.find('}', begin);
  text.replace(begin, end + 1 - begin, R"({"type": "muon", "lr": 0.2, "momentum": 0.6, "normalize": true, "groups": [
    {"kind": "norm", "optimizer": {"type": "sgd", "lr": 2, "momentum": 0.85, "nesterov": true}},
    {"dims": 1, "pattern": "*.bias", "optimizer": {"type": "adamw", "lr": 0.01}}]})");
  const ExperimentConfig config = parse(text), recorded = parse(to_json(config));
  TemporaryFolder folder;
  CHECK(train(config, folder.path / "whole", false).exit == Exit::done);
  signal_at = 6;
  CHECK(train(config, folder.path / "stopped", false).step == 7);
  signal_at = -1;
  train(recorded, folder.path / "stopped", true);
  check_same_run(folder.path / "whole", folder.path / "stopped");
}

TEST_CASE("accumulating runs with a validation split resume likewise") {
  std::string text = with_schedule(tiny_config(R"({"epochs": 2, "accumulate": 3, "log_every": 1, "clip_norm": 0.5})"));
  text.replace(text.find(R"("batch_size")"), 0, R"("validation": 10, )");
  const ExperimentConfig config = parse(text);
  TemporaryFolder folder;
  signal_at = -1;
  CHECK(train(config, folder.path / "whole", false).step == 4);  // 50 images: 4 batches, in steps of 3 and 1
  signal_at = 2;
  CHECK(train(config, folder.path / "stopped", false).exit == Exit::terminated);
  signal_at = -1;
  CHECK(train(config, folder.path / "stopped", true).exit == Exit::done);
  check_same_run(folder.path / "whole", folder.path / "stopped");
}

TEST_CASE("runs that average their weights, with a layer that started from data, resume likewise") {
  for (const char* average :
       {R"({"type": "ema", "decay": 0.8})", R"({"type": "lookahead", "every": 3, "decay": 0.6, "power": 2})"}) {
    CAPTURE(average);
    const ExperimentConfig config = averaging(average);
    TemporaryFolder folder;
    signal_at = -1;
    CHECK(train(config, folder.path / "whole", false).step == 12);
    CHECK(std::filesystem::exists(folder.path / "whole/checkpoints/best/average.safetensors"));
    for (int64_t step : {2, 3, 7}) {  // within an interval, in an epoch's last step, where one is evaluated
      CAPTURE(step);
      const auto stopped = folder.path / ("stopped" + std::to_string(step));
      signal_at = step;
      CHECK(train(config, stopped, false).exit == Exit::terminated);
      signal_at = -1;
      CHECK(train(config, stopped, true).exit == Exit::done);
      check_same_run(folder.path / "whole", stopped);
    }
  }
}

TEST_CASE("the average of the weights is what is evaluated, kept as best and loaded from a run") {
  const ExperimentConfig config = averaging(R"({"type": "ema", "decay": 0.9})");
  TemporaryFolder folder;
  signal_at = -1;
  const TrainingResult result = train(config, folder.path, false);
  write_file((folder.path / "config.json").string(), to_json(config));
  std::vector<bool> evaluated;
  for (const auto& line : metrics(folder.path)) {
    if (line["kind"] == "epoch") evaluated.push_back(line.contains("test_accuracy"));
  }
  CHECK(evaluated == std::vector<bool>{false, true, true});

  Experiment experiment(config);
  const auto loss_with = [&](const std::map<std::string, Tensor>& weights) {
    experiment.model->load_state(weights);
    return evaluate(*experiment.model, experiment.test, config.train.evaluation).loss();
  };
  const Checkpoint last = load_checkpoint((folder.path / "checkpoints/last").string());
  CHECK(loss_with(last.weights()) == result.last->test->loss());
  CHECK(loss_with(last.model.tensors) != result.last->test->loss());
  CHECK(last.average.tensors.size() == last.model.tensors.size());

  auto net = load_run(folder.path.string());
  CHECK(evaluate(*net, experiment.test, config.train.evaluation).accuracy() == *result.best_accuracy);
  const Checkpoint best = load_checkpoint((folder.path / "checkpoints/best").string());
  for (const auto& [name, tensor] : net->state())
    CHECK(tensor.to_vector<double>() == best.average.tensors.at(name).to_vector<double>());
}

TEST_CASE("a run that ends with max_steps and is stopped in its last step has that epoch measured on resuming") {
  const ExperimentConfig config = parse(with_schedule(tiny_config(R"({"epochs": 3, "max_steps": 6, "log_every": 1})")));
  TemporaryFolder folder;
  signal_at = -1;
  CHECK(train(config, folder.path / "whole", false).epochs == 2);
  signal_at = 5;
  CHECK(train(config, folder.path / "stopped", false).exit == Exit::terminated);
  signal_at = -1;
  const std::string file = (folder.path / "stopped/checkpoints/last/state.json").string();
  nlohmann::json state = nlohmann::json::parse(read_file(file));
  state["seconds"] = 1000.0;  // of the sessions before
  write_file(file, state.dump());
  const TrainingResult rest = train(config, folder.path / "stopped", true);
  CHECK(rest.seconds >= 1000 + state["epoch_seconds"].get<double>());
  CHECK(rest.exit == Exit::done);
  CHECK(rest.step == 6);
  CHECK(rest.epochs == 2);
  check_same_run(folder.path / "whole", folder.path / "stopped");
}

TEST_CASE("an epoch that ruined the weights replaces no checkpoint") {
  std::string text = with_schedule(tiny_config(R"({"epochs": 4, "log_every": 1, "evaluation": {"every_epochs": 2}})"));
  std::string names = "the test loss is ";
  int64_t epoch = 2;
  explosion = 1e37;
  SUBCASE("noticed on the test images") {}
  SUBCASE("noticed on the validation images") {
    names = "the validation loss is ";
    text.replace(text.find(R"("batch_size")"), 0, R"("validation": 12, )");
  }
  SUBCASE("noticed in the weights, where nothing is evaluated") {
    names = "a weight is not a number; the first number that is not finite is in 0.weight; ";
    epoch = 3;
    explosion = 1e300;
  }
  const ExperimentConfig config = parse(text);
  const int64_t steps = Experiment(config).steps_per_epoch();
  TemporaryFolder folder;
  train(config, folder.path / "whole", false);
  explode_at = epoch * steps - 1;
  const std::string place =
      fmt::format("training diverged at step {} (epoch {}, learning rate {:.6g}): ", epoch * steps, epoch, explosion);
  try {
    train(config, folder.path / "ruined", false);
    FAIL("did not diverge");
  } catch (const DivergedError& error) {
    const std::string message = error.what();
    CHECK(message.find(place + names) == 0);
    CHECK(message.find("; the checkpoint at " + (folder.path / "ruined/checkpoints/last").string() + " is from before") !=
          std::string::npos);
  }
  explode_at = -1;
  CHECK(train(config, folder.path / "ruined", true).exit == Exit::done);
  check_same_run(folder.path / "whole", folder.path / "ruined");
}

TEST_CASE("resuming drops what was written after the checkpoint") {
  const ExperimentConfig config = parse(with_schedule(tiny_config()));  // the same for any length
  TemporaryFolder folder;
  train(config, folder.path / "whole", false);
  std::filesystem::create_directories(folder.path / "killed");
  {
    Experiment experiment(config);
    experiment.config.train.max_steps = 8;  // the second epoch's end
    Trainer(experiment, (folder.path / "killed").string(), {.show_progress = false}).run();
  }
  const std::string log = (folder.path / "killed/metrics.jsonl").string();
  write_file(log, read_file(log) + "{\"kind\":\"step\",\"step\":9,\"epo");
  CHECK(train(config, folder.path / "killed", true).exit == Exit::done);
  check_same_run(folder.path / "whole", folder.path / "killed");
}

TEST_CASE("a resumed run keeps to the algorithms that its checkpoint names") {
  std::string text = with_schedule(tiny_config(R"({"epochs": 3, "deterministic": true})"));
  const std::string first = R"({"type": "conv2d", "out_channels": 8, "stride": 4, "padding": 1})";
  text.replace(
      text.find(first), first.size(),
      R"({"type": "conv2d", "out_channels": 32, "stride": 4, "padding": 1}, {"type": "conv2d", "out_channels": 32, "padding": 1})");
  const ExperimentConfig config = parse(text);
  TemporaryFolder folder;
  signal_at = 5;
  train(config, folder.path, false);
  signal_at = -1;
  const std::string file = (folder.path / "checkpoints/last/algorithms.json").string();
  Algorithms other = algorithms_from_json(read_file(file));
  for (auto& [problem, name] : other) {
    CHECK(name.find("wino") != std::string::npos);
    name = test::direct_conv(problem);
  }
  write_file(file, algorithms_to_json(other));
  CHECK(train(config, folder.path, true).step == 12);
  CHECK(algorithms_from_json(read_file(file)) == other);
}

TEST_CASE("resuming a finished run changes nothing") {
  const ExperimentConfig config = parse(tiny_config(R"({"epochs": 1})"));
  TemporaryFolder folder;
  train(config, folder.path / "a", false);
  const std::string before = read_file((folder.path / "a/metrics.jsonl").string());
  const TrainingResult again = train(config, folder.path / "a", true);
  CHECK(again.exit == Exit::done);
  CHECK(again.epochs == 1);
  CHECK(read_file((folder.path / "a/metrics.jsonl").string()) == before);
}

TEST_CASE("best is chosen by validation accuracy and load_run gives it") {
  std::string text = tiny_config(R"({"epochs": 4})");
  text.replace(text.find(R"("batch_size")"), 0, R"("validation": 20, )");
  const ExperimentConfig config = parse(text);
  TemporaryFolder folder;
  const TrainingResult result = train(config, folder.path, false);
  write_file((folder.path / "config.json").string(), to_json(config));
  double best = -1;
  for (const auto& line : metrics(folder.path)) {
    if (line["kind"] == "epoch") best = std::max(best, line["validation_accuracy"].get<double>());
  }
  CHECK(*result.best_accuracy == best);
  CHECK(result.best_of == "validation");

  seed_random(77);
  auto net = load_run(folder.path.string());
  CHECK(random_state().seed == 77);
  CHECK(random_state().draws == 0);
  CHECK_FALSE(net->training());
  Experiment experiment(config);
  CHECK(evaluate(*net, *experiment.validation).accuracy() == best);
}

TEST_CASE("one batch in two halves makes the same step, without batch norm") {
  std::string text = R"({"seed": 5, "data": {"type": "shapes", "train_images": 24, "test_images": 8, "batch_size": 24},
    "model": {"type": "network", "layers": [{"type": "flatten"}, {"type": "linear", "out_features": 10}]},
    "optimizer": {"type": "sgd", "lr": 0.01}, "train": {"epochs": 1}})";
  TemporaryFolder folder;
  const auto weights = [&](int64_t batch_size, int64_t accumulate, const char* name) {
    std::string changed = text;
    changed.replace(changed.find(R"("batch_size": 24)"), 16, R"("batch_size": )" + std::to_string(batch_size));
    ExperimentConfig config = parse(changed);
    config.train.accumulate = accumulate;
    train(config, folder.path / name, false);
    return load_checkpoint((folder.path / name / "checkpoints/last").string()).model.tensors.at("1.weight").to_vector<double>();
  };
  const auto whole = weights(24, 1, "whole"), parts = weights(16, 2, "parts");
  double difference = 0, length = 0;
  for (size_t i = 0; i < whole.size(); ++i) {
    difference += std::pow(whole[i] - parts[i], 2);
    length += whole[i] * whole[i];
  }
  CHECK(std::sqrt(difference / length) < 1e-6);
}
