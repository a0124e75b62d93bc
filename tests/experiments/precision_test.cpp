// Mixed precision: what train.precision does, and what becomes of it where the processor has no bf16 arithmetic.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/backend/info.h"
#include "core/config/json_document.h"
#include "core/ops/create.h"
#include "experiments/files.h"
#include "experiments/step.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"

using namespace az;
using namespace az::experiments;
using nlohmann::json;

namespace {

using Words = std::vector<std::string>;

// oneDNN held to instructions without bf16.
const Words without_bf16 = {"env", "ONEDNN_MAX_CPU_ISA=AVX512_CORE"};
const char* const note = "azimuth: note: this processor has no bf16 arithmetic (AVX-512 with bf16, or AMX): ";

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

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
  CHECK(has(result.err, note + std::string("train.precision bf16 runs in f32; unset ONEDNN_MAX_CPU_ISA\n")));
  CHECK(json::parse(read_file(half + "/environment.json"))["precision"] == "f32");
  CHECK(json::parse(read_file(half + "/config.json"))["train"]["precision"] == "bf16");
  run(without_bf16, {"train", config, "--run", single, "--set", "train.precision=f32"});
  CHECK(json::parse(last_line(half))["test_loss"] == json::parse(last_line(single))["test_loss"]);

  CHECK(has(run(without_bf16, {"bench", config, "--steps", "1", "--warmup", "0"}).out, " images, f32, "));
  CHECK(has(run(without_bf16, {"doctor"}).out, "not native: train.precision bf16 runs in f32"));
  if (!has_bf16()) return;
  CHECK(has(run({}, {"doctor"}).out, "native, by A"));
  CHECK(has(run({}, {"bench", config, "--steps", "1", "--warmup", "0"}).out, " images, bf16, "));
  // Evaluated where there is bf16, it stays what it was.
  CHECK(has(run({}, {"eval", half}).err, "azimuth: note: the checkpoint was made in f32, where there was no bf16 arithmetic"));
}

TEST_CASE("a run in bf16 that goes on without it says what changes, and remembers") {
  if (!has_bf16()) return;
  TemporaryFolder folder;
  const std::string config = config_in(folder, R"({"epochs": 1, "precision": "bf16"})"), path = (folder.path / "run").string();
  const CommandResult result = run({}, {"train", config, "--run", path});
  CHECK(!has(result.err, "bf16"));
  CHECK(json::parse(read_file(path + "/environment.json"))["precision"] == "bf16");
  const std::string state = path + "/checkpoints/last/state.json";
  CHECK(json::parse(read_file(state))["precision"] == "bf16");
  CHECK(!has(run({}, {"eval", path}).err, "note: "));

  std::string longer = read_file(path + "/config.json");
  longer.replace(longer.find("\"epochs\": 1"), 11, "\"epochs\": 2");
  write_file(path + "/config.json", longer);
  const std::string change = note + std::string("what was in bf16 so far goes on in f32, and its results differ by rounding");
  CHECK(has(run(without_bf16, {"eval", path}).err, change));
  CHECK(has(run(without_bf16, {"resume", path}).err, change));
  CHECK(json::parse(read_file(state))["precision"] == "f32");
  CHECK(json::parse(read_file(state))["epochs"] == 2);
}
