// Mixed precision: what train.precision does, and what becomes of it where the processor has no bf16 arithmetic.
#include "experiments/precision.h"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/backend/info.h"
#include "core/base/files.h"
#include "core/config/json_document.h"
#include "core/tensor/create.h"
#include "experiments/step.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"

using namespace az;
using namespace az::experiments;
using nlohmann::json;
using test::has;

namespace {

using Words = std::vector<std::string>;

// oneDNN held to instructions without bf16.
const Words without_bf16 = {"env", "ONEDNN_MAX_CPU_ISA=AVX512_CORE"};
// What is said then, which depends on what the processor itself has.
const std::string note = has_bf16() ? "azimuth: note: oneDNN is held to AVX-512, without bf16 arithmetic: "
                                    : "azimuth: note: this processor has no bf16 arithmetic (AVX-512 with bf16, or AMX): ";

CommandResult run(const Words& launcher, const Words& words) {
  CommandResult result = launcher.empty() ? run_azimuth(words) : run_through(launcher, words);
  INFO(result.err);
  REQUIRE(result.exit == 0);
  return result;
}

std::string config_in(const TemporaryFolder& folder, const std::string& train) {
  const std::string file = (folder.path / "exp.json").string();
  write_file(file, tiny_config(train));
  return file;
}

std::string last_line(const std::string& run) {
  const std::string log = read_file(run + "/metrics.jsonl");
  return log.substr(log.rfind("{\"kind\":\"epoch\""));
}

// The losses of the first steps.
std::vector<double> losses(const std::string& precision, int steps) {
  register_builtin();
  Experiment experiment(
      config::parse<ExperimentConfig>(config::parse_text(tiny_config(R"({"precision": ")" + precision + R"("})"), "test")));
  std::vector<double> found;
  auto at = experiment.train.begin();
  for (int step = 0; step < steps; ++step) {
    const auto batches = next_batches(at, 1);
    CHECK(batches[0].images.dtype() == experiment.precision());
    found.push_back(train_step(experiment, step, batches).loss);
  }
  for (const Parameter& p : experiment.model->parameters()) {
    CHECK(p.tensor.dtype() == DType::f32);
    CHECK(p.tensor.grad().dtype() == DType::f32);
  }
  CHECK(experiment.precision() == (precision == "bf16" && has_bf16() ? DType::bf16 : DType::f32));
  return found;
}

}  // namespace

TEST_CASE("bf16: the first steps lose what they lose in f32, up to rounding, and parameters stay f32") {
  const auto single = losses("f32", 4), half = losses("bf16", 4);
  for (size_t i = 0; i < single.size(); ++i) CHECK(half[i] == doctest::Approx(single[i]).epsilon(5e-3));
  if (has_bf16()) CHECK(half != single);
}

TEST_CASE("every part's batches come in the precision in use, and follow a change of it") {
  register_builtin();
  std::string text = tiny_config(R"({"precision": "bf16"})");
  text.replace(text.find(R"("batch_size")"), 0, R"("validation": 10, )");
  Experiment experiment(config::parse<ExperimentConfig>(config::parse_text(text, "test")));
  const auto check_all = [&](DType type) {
    CHECK(experiment.precision() == type);
    for (data::Loader* loader : {&experiment.train, &*experiment.validation, &experiment.test})
      CHECK((*loader->begin()).images.dtype() == type);
  };
  check_all(available_precision(DType::bf16));
  experiment.use_precision(DType::f32);
  check_all(DType::f32);
  experiment.use_precision(DType::bf16);
  check_all(available_precision(DType::bf16));
}

TEST_CASE("check refuses a network with a layer that does not take the precision, and names it") {
  TemporaryFolder folder;
  std::string text = tiny_config();
  const size_t begin = text.find("{\"type\": \"conv2d\""), end = text.find("{\"type\": \"linear\"");
  // A residual sum of bf16 and of what linear gives, f32.
  text.replace(begin, end - begin, R"({"type": "global_avg_pool"},
    {"type": "residual", "body": [{"type": "linear", "out_features": 3}]}, )");
  const std::string config = (folder.path / "exp.json").string();
  write_file(config, text);
  run({}, {"check", config});
  if (test::skipped_without_bf16()) return;
  const CommandResult result = run_azimuth({"check", config, "--set", "train.precision=bf16"});
  CHECK(result.exit != 0);
  CHECK(has(result.err, "model.layers.1: 1: residual: bf16"));
}

TEST_CASE("bf16: a network that ends in bf16 is scored, too") {
  const Tensor logits = Tensor::of<float>({2, 3}, {1, 3, 2, 5, 4, 3}).to(DType::bf16);
  Score score;
  score.add(0.5, logits, Tensor::of<int64_t>({2}, {1, 1}));
  CHECK(score.correct == 1);
}

TEST_CASE("where there is no bf16 arithmetic, a run is in f32, and says so") {
  TemporaryFolder folder;
  const std::string config = config_in(folder, R"({"epochs": 1, "precision": "bf16"})");
  const std::string half = (folder.path / "half").string(), single = (folder.path / "single").string();
  const CommandResult result = run(without_bf16, {"train", config, "--run", half});
  CHECK(has(result.err, note + "train.precision bf16 runs in f32" + (has_bf16() ? "; unset ONEDNN_MAX_CPU_ISA\n" : "\n")));
  CHECK(json::parse(read_file(half + "/environment.json"))["precision_at_start"] == "f32");
  CHECK(json::parse(read_file(half + "/config.json"))["train"]["precision"] == "bf16");
  run(without_bf16, {"train", config, "--run", single, "--set", "train.precision=f32"});
  CHECK(json::parse(last_line(half))["test_loss"] == json::parse(last_line(single))["test_loss"]);

  CHECK(has(run(without_bf16, {"bench", config, "--steps", "1", "--warmup", "0"}).out, " images, f32, "));
  CHECK(has(run(without_bf16, {"doctor"}).out, "not native: train.precision bf16 runs in f32"));
  CHECK(has(run(without_bf16, {"check", config}).err, note + "train.precision bf16 runs in f32"));
  if (test::skipped_without_bf16()) return;
  CHECK(!has(run({}, {"check", config}).err, "note: "));
  CHECK(has(run({}, {"doctor"}).out, "native, by A"));
  CHECK(has(run({}, {"bench", config, "--steps", "1", "--warmup", "0"}).out, " images, bf16, "));
  // Evaluated where there is bf16, it stays what it was.
  CHECK(has(run({}, {"eval", half}).err, "azimuth: note: the checkpoint's precision, f32, counts, not the config's bf16\n"));
}

TEST_CASE("a checkpoint of a precision that there is not is refused") {
  TemporaryFolder folder;
  const std::string path = (folder.path / "run").string(), file = path + "/checkpoints/last/state.json";
  run({}, {"train", config_in(folder, R"({"max_steps": 1})"), "--run", path});
  std::string state = read_file(file);
  state.replace(state.find("\"f32\""), 5, "\"f16\"");
  write_file(file, state);
  const CommandResult result = run_azimuth({"resume", path});
  CHECK(result.exit == 3);
  CHECK(has(result.err, file + " is damaged: \"precision\" must be \"f32\" or \"bf16\", got \"f16\""));
}

TEST_CASE("a run in bf16 that goes on without it says what changes, and remembers") {
  if (test::skipped_without_bf16()) return;
  TemporaryFolder folder;
  const std::string config = config_in(folder, R"({"epochs": 1, "precision": "bf16"})"), path = (folder.path / "run").string();
  const CommandResult result = run({}, {"train", config, "--run", path});
  CHECK(!has(result.err, "bf16"));
  CHECK(json::parse(read_file(path + "/environment.json"))["precision_at_start"] == "bf16");
  const std::string state = path + "/checkpoints/last/state.json";
  CHECK(json::parse(read_file(state))["precision"] == "bf16");
  const CommandResult evaluated = run({}, {"eval", path, "--checkpoint", "last", "--json"});
  CHECK(!has(evaluated.err, "note: "));
  CHECK(json::parse(evaluated.out)["test_loss"] == json::parse(last_line(path))["test_loss"]);

  // The config edited, it is still the checkpoint's precision that counts, here and where there is no other; it cannot go on
  // so.
  const std::string config_before = read_file(path + "/config.json");
  std::string edited = config_before;
  edited.replace(edited.find("\"bf16\""), 6, "\"f32\"");
  write_file(path + "/config.json", edited);
  const std::string counts = "azimuth: note: the checkpoint's precision, bf16, counts, not the config's f32\n";
  CHECK(has(run({}, {"eval", path}).err, counts));
  CHECK(has(run_azimuth({"resume", path}).err, "train.precision: was \"bf16\" in the training so far and is \"f32\" now"));
  write_file(path + "/config.json", config_before);

  std::string longer = read_file(path + "/config.json");
  longer.replace(longer.find("\"epochs\": 1"), 11, "\"epochs\": 2");
  write_file(path + "/config.json", longer);
  const std::string change = note + "what was in bf16 so far goes on in f32, and its results differ by rounding";
  CHECK(has(run(without_bf16, {"eval", path}).err, change));
  CHECK(has(run(without_bf16, {"resume", path}).err, change));
  CHECK(json::parse(read_file(state))["precision"] == "f32");
  CHECK(json::parse(read_file(state))["epochs"] == 2);
}
