// What may change where a run goes on, what that does, and what the run's folder says of it.
#include "experiments/history.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/base/files.h"
#include "core/config/json_document.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"

using namespace az::experiments;
using az::read_file;
using az::write_file;
using az::test::has;
using nlohmann::json;
namespace config = az::config;
namespace fs = std::filesystem;

namespace {

// A run of the tiny config, whose schedule is constant unless `schedule` says otherwise.
struct TinyRun {
  explicit TinyRun(const std::string& train, const std::string& schedule = R"({"type": "constant"})",
                   const std::string& extra = "") {
    std::string text = tiny_config(train, extra);
    const std::string from = R"({"type": "cosine"})";
    write_file(file, text.replace(text.find(from), from.size(), schedule));
  }
  CommandResult train(const std::string& name, std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"train", file, "--run", at(name)});
    return run_azimuth(more);
  }
  std::string at(const std::string& name) const { return (folder.path / name).string(); }
  void edit(const std::string& name, const std::string& place, const json& value) const {
    json resolved = json::parse(read_file(at(name) + "/config.json"));
    resolved[json::json_pointer(place)] = value;
    write_file(at(name) + "/config.json", resolved.dump(2));
  }

  TemporaryFolder folder;
  std::string file = (folder.path / "exp.json").string();
};

std::vector<json> lines_of(const std::string& file, const std::string& kind = "") {
  std::vector<json> result;
  std::istringstream in(read_file(file));
  for (std::string line; std::getline(in, line);) {
    json object = json::parse(line);
    for (const char* measured : {"seconds", "images_per_second"}) object.erase(measured);
    if (kind.empty() || object["kind"] == kind) result.push_back(object);
  }
  return result;
}

json state_of(const std::string& run) { return json::parse(read_file(run + "/checkpoints/last/state.json")); }

void check_same_end(const std::string& a, const std::string& b) {
  for (const char* name : {"model", "optimizer", "average"}) {
    const std::string file = fmt::format("/checkpoints/last/{}.safetensors", name);
    REQUIRE(fs::exists(a + file) == fs::exists(b + file));
    if (fs::exists(a + file)) CHECK_MESSAGE(read_file(a + file) == read_file(b + file), file);
  }
  CHECK(lines_of(a + "/metrics.jsonl", "step") == lines_of(b + "/metrics.jsonl", "step"));
  CHECK(lines_of(a + "/metrics.jsonl", "epoch").back() == lines_of(b + "/metrics.jsonl", "epoch").back());
  for (const char* key : {"epochs", "step", "batches", "measured", "train", "random", "lr"})
    CHECK_MESSAGE(state_of(a)[key] == state_of(b)[key], key);
}

}  // namespace

TEST_CASE("a training cut within an epoch goes on with the batches that are left, to the bits of one that was not") {
  const std::string average = R"(, "average": {"type": "ema", "decay": 0.7}})";
  const TinyRun runs(R"({"epochs": 3, "log_every": 1, "deterministic": true, "threads": 1)" + average);
  REQUIRE(runs.train("whole").exit == 0);
  for (const int64_t cut : {1, 4, 6, 11}) {
    CAPTURE(cut);
    const std::string name = "cut" + std::to_string(cut);
    REQUIRE(runs.train(name, {"--set", fmt::format("train.max_steps={}", cut)}).exit == 0);
    CHECK(state_of(runs.at(name))["epochs"] == cut / 4);
    CHECK(state_of(runs.at(name))["batches"] == cut % 4);
    // Resuming what has ended does nothing.
    const std::string metrics = read_file(runs.at(name) + "/metrics.jsonl");
    CHECK(has(run_azimuth({"resume", runs.at(name)}).out, "Already finished"));
    CHECK(read_file(runs.at(name) + "/metrics.jsonl") == metrics);

    if (cut % 2) {
      runs.edit(name, "/train/max_steps", nullptr);
      CHECK(run_azimuth({"resume", runs.at(name)}).exit == 0);
    } else {  // cut again, two steps later
      const std::string again = fmt::format("train.max_steps={}", cut + 2);
      CHECK(run_azimuth({"resume", runs.at(name), "--set", again}).exit == 0);
      CHECK(state_of(runs.at(name))["step"] == cut + 2);
      CHECK(run_azimuth({"resume", runs.at(name), "--set", "train.max_steps=null"}).exit == 0);
    }
    check_same_end(runs.at("whole"), runs.at(name));
    CHECK(state_of(runs.at(name))["step"] == 12);
  }
}

TEST_CASE("so it is with accumulated batches and a validation part, and where steps alone say how long") {
  TinyRun runs(R"({"max_steps": 7, "accumulate": 3, "log_every": 1, "deterministic": true, "threads": 1})");
  const std::vector<std::string> validation = {"--set", "data.validation=10"};  // 50 images: 4 batches, in steps of 3 and 1
  REQUIRE(runs.train("whole", validation).exit == 0);
  REQUIRE(runs.train("cut", {"--set", "data.validation=10", "--set", "train.max_steps=3"}).exit == 0);
  CHECK(state_of(runs.at("cut"))["epochs"] == 1);
  CHECK(state_of(runs.at("cut"))["batches"] == 3);
  CHECK(run_azimuth({"resume", runs.at("cut"), "--set", "train.max_steps=7"}).exit == 0);
  check_same_end(runs.at("whole"), runs.at("cut"));
}

TEST_CASE("a cut epoch is measured where it was cut and again where it is whole, over all of its batches") {
  const TinyRun runs(R"({"epochs": 3, "max_steps": 6, "log_every": 1})");
  const CommandResult first = runs.train("run", {"--json"});
  CHECK(json::parse(first.out)["epochs"] == 2);
  const CommandResult eval = run_azimuth({"eval", runs.at("run"), "--checkpoint", "last"});
  CHECK(has(eval.err, "last checkpoint, after 1 epochs and 2 batches\n"));
  const CommandResult rest = run_azimuth({"resume", runs.at("run"), "--set", "train.max_steps=null"});
  CHECK(has(rest.out, "; 3 epochs trained in "));
  std::vector<std::pair<int, int>> epochs;
  for (const json& line : lines_of(runs.at("run") + "/metrics.jsonl", "epoch"))
    epochs.emplace_back(line["epoch"], line["step"]);
  CHECK(epochs == std::vector<std::pair<int, int>>{{1, 4}, {2, 6}, {2, 8}, {3, 12}});
}

TEST_CASE("the position of an epoch that an older version cut and counted as whole is found again") {
  const TinyRun runs(R"({"epochs": 3, "log_every": 1, "deterministic": true, "threads": 1})");
  REQUIRE(runs.train("whole").exit == 0);
  REQUIRE(runs.train("old", {"--set", "train.max_steps=6"}).exit == 0);
  json state = state_of(runs.at("old"));
  state["epochs"] = 2;
  state["batches"] = 0;
  state.erase("measured");
  write_file(runs.at("old") + "/checkpoints/last/state.json", state.dump());
  fs::remove(runs.at("old") + "/configs.jsonl");
  const CommandResult ended = run_azimuth({"resume", runs.at("old")});
  CHECK(has(ended.out, "Already finished"));
  CHECK(has(ended.err,
            "azimuth: note: the run has no configs.jsonl, so that nobody can tell whether its config.json was changed\n"));
  const CommandResult rest = run_azimuth({"resume", runs.at("old"), "--set", "train.max_steps=null"});
  CHECK_MESSAGE(rest.exit == 0, rest.err);
  CHECK(read_file(runs.at("old") + "/checkpoints/last/model.safetensors") ==
        read_file(runs.at("whole") + "/checkpoints/last/model.safetensors"));
  CHECK(state_of(runs.at("old"))["step"] == 12);
}

TEST_CASE("each option may change on resume or not, as is said here") {
  const std::set<std::string> allowed = {"$schema",
                                         "name",
                                         "description",
                                         "probes",
                                         "log",
                                         "data.root",
                                         "train.epochs",
                                         "train.max_steps",
                                         "train.threads",
                                         "train.log_every",
                                         "train.evaluation.every_epochs",
                                         "train.evaluation.test_time_augmentation",
                                         "checkpoint.every_epochs",
                                         "checkpoint.keep"};
  register_builtin();
  TemporaryFolder folder;
  // Of every kind of option one that is set; nothing of the data is read here.
  const std::string text = R"({"$schema": "a", "name": "n", "description": "d", "seed": 3,
    "data": {"type": "cifar10", "root": "/data", "validation": 0.1, "subset": 0.5, "split_seed": 1, "batch_size": 16,
      "drop_last": false, "mean": [0.1, 0.2, 0.3], "std": [1, 2, 3], "augment": [{"type": "random_crop"}, {"type": "horizontal_flip"}]},
    "model": {"type": "network", "layers": [{"type": "conv2d", "out_channels": 8}, {"type": "residual", "body": [
      {"type": "batch_norm"}]}, {"type": "global_avg_pool"}, {"type": "linear", "out_features": 10}]},
    "optimizer": {"type": "sgdp", "lr": 0.1, "momentum": 0.9, "groups": [{"kind": "norm", "weight_decay": 0.5, "lr_factor": 2}]},
    "schedule": {"type": "one_cycle", "warmup_epochs": 1},
    "train": {"epochs": 3, "max_steps": 10, "accumulate": 2, "label_smoothing": 0.1, "clip_norm": 1, "clip_value": 1,
      "threads": 1, "average": {"type": "ema"}},
    "probes": [{"type": "scale_invariance"}], "log": ["csv"], "checkpoint": {"keep": ["last"]}})";
  const auto parse = [](const json& value) {
    return config::parse<ExperimentConfig>(config::parse_text(value.dump(), "exp.json"));
  };
  const json resolved = json::parse(to_json(parse(json::parse(text))));
  record_config(folder.path.string(), parse(resolved), 0);

  // Another value of each option that has a place of its own, by one of these that is valid there.
  const json others = json::parse(R"([true, false, 1, 2, 0.25, 0.75, 7, "flip", "linear", "layer", "reflect", "bias",
    "kaiming_normal", "tensorboard", "best", "bf16", "gelu", "tanh", "none", "else", [], [{"type": "relu"}], {"type": "adam"}, null])");
  int changed = 0;
  std::set<std::string> untried;
  const json flat = resolved.flatten();
  for (const auto& [pointer, value] : flat.items()) {
    if (pointer.ends_with("/type") || pointer == "/plugins") continue;
    std::string path = pointer.substr(1);
    std::replace(path.begin(), path.end(), '/', '.');
    bool tried = false;
    for (const json& other : others) {
      json edited = resolved;
      edited[json::json_pointer(pointer)] = other;
      std::optional<ExperimentConfig> now;
      try {
        now = parse(edited);
      } catch (const az::ConfigError&) {
        continue;
      }
      if (json::parse(to_json(*now)) == resolved) continue;
      tried = true;
      const bool may = std::any_of(allowed.begin(), allowed.end(),
                                   [&](const std::string& key) { return path == key || path.starts_with(key + "."); });
      CAPTURE(path);
      CAPTURE(other);
      if (may) {
        CHECK_NOTHROW(resumed_config(folder.path.string(), *now));
      } else {
        try {
          resumed_config(folder.path.string(), *now);
          FAIL("it may");
        } catch (const az::ConfigError& error) {
          CHECK_MESSAGE(has(error.what(), (folder.path / "config.json").string() + ": " + path), error.what());
        }
      }
      ++changed;
      break;
    }
    if (!tried) untried.insert(path);
  }
  for (const std::string& path : untried) MESSAGE("not tried: ", path);
  CHECK(untried.empty());
  CHECK(changed > 60);
}

TEST_CASE("a change that steps depend on is refused with key, place, both values and remedy, and nothing is touched") {
  const TinyRun runs(R"({"epochs": 2})", R"({"type": "cosine"})");
  REQUIRE(runs.train("run").exit == 0);
  const std::string run = runs.at("run"), file = run + "/config.json", trained = read_file(file);
  const std::string remedy =
      ", which steps depend on; put it back, or train anew with azimuth train (azimuth describe config says what may change on "
      "resume)\n";
  const auto refused = [&](const char* place, const json& value, const std::string& key, const std::string& words) {
    runs.edit("run", place, value);
    const std::string edited = read_file(file), state = read_file(run + "/checkpoints/last/state.json");
    const CommandResult result = run_azimuth({"resume", run});
    CHECK(result.exit == 2);
    const std::string start = "azimuth: " + file + ":", end = ": " + key + ": " + words + remedy;
    CHECK_MESSAGE(result.err.starts_with(start), result.err);
    CHECK_MESSAGE(result.err.ends_with(end), result.err);
    // Line and column are those of the value, which the resolved config has on a line of its own.
    const int line = std::stoi(result.err.substr(start.size()));
    std::istringstream lines(edited);
    std::string text;
    for (int i = 0; i < line; ++i) std::getline(lines, text);
    CHECK_MESSAGE(has(text, "\"" + key.substr(key.rfind('.') + 1) + "\": " + value.dump()), text);
    CHECK(read_file(file) == edited);
    CHECK(read_file(run + "/checkpoints/last/state.json") == state);
    const bool is_seen = key.starts_with("data.") || key.starts_with("model.");  // by an evaluation
    CHECK(run_azimuth({"eval", run}).exit == (is_seen ? 2 : 0));
    write_file(file, trained);
  };
  refused("/optimizer/lr", 0.2, "optimizer.lr", "was 0.1 in the training so far and is 0.2 now");
  refused("/optimizer/momentum", 0.5, "optimizer.momentum", "was 0.9 in the training so far and is 0.5 now");
  refused("/seed", 4, "seed", "was 3 in the training so far and is 4 now");
  refused("/data/batch_size", 8, "data.batch_size", "was 16 in the training so far and is 8 now");
  refused("/model/layers/4/probability", 0.2, "model.layers.4.probability", "was 0.1 in the training so far and is 0.2 now");
  refused("/schedule/min_factor", 0.5, "schedule.min_factor", "was 0.0 in the training so far and is 0.5 now");
  refused("/train/label_smoothing", 0.5, "train.label_smoothing", "was 0.0 in the training so far and is 0.5 now");

  json other = json::parse(trained);
  other["optimizer"] = {{"type", "sgd"}, {"lr", 0.1}};
  other["seed"] = 4;
  other["data"]["augment"] = json::array();
  write_file(file, other.dump());
  const std::string all = run_azimuth({"resume", run}).err;
  CHECK(has(all, ": seed: was 3 in the training so far and is 4 now (and data.augment was "));
  CHECK(has(all, " and is [], optimizer.type was \"sgdp\" and is \"sgd\")" + remedy));
  write_file(file, trained);
  const CommandResult set = run_azimuth({"resume", run, "--set", "optimizer.lr=0.5"});
  CHECK(set.exit == 2);
  CHECK(set.err == "azimuth: --set optimizer.lr: was 0.1 in the training so far and is 0.5 now" + remedy);
  other = json::parse(trained);
  other["optimizer"].erase("nesterov");  // by default false
  write_file(file, other.dump());
  CHECK(has(run_azimuth({"resume", run}).err, ": optimizer.nesterov: was true in the training so far and is false now"));
  write_file(file, trained);
  CHECK(run_azimuth({"resume", run}).exit == 0);
}

TEST_CASE("what changes is told, with what it does to the schedule, and kept in the run") {
  const TinyRun runs(R"({"epochs": 2, "log_every": 1, "average": {"type": "ema", "decay": 0.5, "power": 1}})",
                     R"({"type": "cosine"})");
  REQUIRE(runs.train("run").exit == 0);
  const std::string run = runs.at("run");
  std::vector<json> history = lines_of(run + "/configs.jsonl");
  REQUIRE(history.size() == 1);
  CHECK(history[0]["step"] == 0);
  CHECK(history[0]["config"] == json::parse(read_file(run + "/config.json")));

  runs.edit("run", "/train/epochs", 4);
  runs.edit("run", "/description", "longer");
  const CommandResult result = run_azimuth({"resume", run});
  CHECK(result.exit == 0);
  CHECK(has(result.err,
            "azimuth: note: description was \"\" and is \"longer\" now\nazimuth: note: train.epochs was 2 and is 4 now\n"));
  // 0.1 (1 + cos(pi t)) / 2 at t = 7/8, 8/16 and 15/16.
  CHECK(has(result.err,
            "azimuth: note: the training has 16 steps now, not 8, over which the schedule is spread: step 8 was taken at the "
            "learning "
            "rate 0.00380602, step 9 is taken at 0.05 and the last one at 0.000960736; so is the decay of train.average\n"));
  history = lines_of(run + "/configs.jsonl");
  REQUIRE(history.size() == 2);
  CHECK(history[0]["config"]["train"]["epochs"] == 2);
  CHECK(history[1]["step"] == 8);
  CHECK(history[1]["config"] == json::parse(read_file(run + "/config.json")));
  const std::vector<json> steps = lines_of(run + "/metrics.jsonl", "step");
  REQUIRE(steps.size() == 16);
  CHECK(steps[8]["lr"] == doctest::Approx(0.05));

  // A length that does not matter to the schedule.
  const TinyRun constant(R"({"epochs": 2})");
  REQUIRE(constant.train("run").exit == 0);
  const CommandResult longer = run_azimuth({"resume", constant.at("run"), "--set", "train.epochs=3"});
  CHECK(has(longer.err, "azimuth: note: the training has 12 steps now, not 8; the learning rate does not depend on that\n"));
  CHECK(json::parse(read_file(constant.at("run") + "/config.json"))["train"]["epochs"] == 3);
  // Without a change nothing is told or added.
  const CommandResult same = run_azimuth({"resume", constant.at("run")});
  CHECK_FALSE(has(same.err, "now"));
  CHECK(lines_of(constant.at("run") + "/configs.jsonl").size() == 2);
}

TEST_CASE("the history follows the checkpoint: what was noted of steps that are lost is left out") {
  TemporaryFolder folder;
  register_builtin();
  const auto with = [](int64_t epochs) {
    ExperimentConfig config = config::parse<ExperimentConfig>(config::parse_text(tiny_config(), "exp.json"));
    config.train.epochs = epochs;
    return config;
  };
  const auto noted = [&] {
    std::vector<std::pair<int, int>> result;
    for (const json& line : lines_of((folder.path / "configs.jsonl").string()))
      result.emplace_back(line["step"], line["config"]["train"]["epochs"]);
    return result;
  };
  using Noted = std::vector<std::pair<int, int>>;
  const std::string path = folder.path.string();
  record_config(path, with(3), 0);
  record_config(path, with(3), 4);
  CHECK(noted() == Noted{{0, 3}});
  record_config(path, with(5), 4);
  record_config(path, with(6), 8);
  CHECK(noted() == Noted{{0, 3}, {4, 5}, {8, 6}});
  record_config(path, with(7), 8);  // the sixth was lost before a checkpoint
  CHECK(noted() == Noted{{0, 3}, {4, 5}, {8, 7}});
  record_config(path, with(5), 6);  // an older checkpoint was put back
  CHECK(noted() == Noted{{0, 3}, {4, 5}});
  CHECK(json::parse(read_file(path + "/config.json"))["train"]["epochs"] == 5);
}

TEST_CASE(
    "a history that is damaged is an error with the place and the remedy; without one a run resumes, evaluates and reports") {
  const TinyRun runs(R"({"epochs": 1})");
  REQUIRE(runs.train("run").exit == 0);
  const std::string run = runs.at("run"), file = run + "/configs.jsonl", whole = read_file(file);
  for (const std::string& damaged : {whole.substr(0, 50), std::string(), whole + "{\"step\":4}\n", std::string("[]\n"),
                                     std::string("{\"step\":0,\"config\":{\"data\":{}}}\n")}) {
    write_file(file, damaged);
    const CommandResult result = run_azimuth({"resume", run});
    CHECK(result.exit == 3);
    CHECK_MESSAGE(result.err.starts_with("azimuth: " + file + " is damaged: "), result.err);
    CHECK(result.err.ends_with("; put back a copy, or remove it, and what was changed is not checked\n"));
    CHECK(run_azimuth({"eval", run}).exit == 0);
  }
  fs::remove(file);
  CHECK(run_azimuth({"eval", run}).exit == 0);
  CHECK(run_azimuth({"report", run}).exit == 0);
  CHECK(run_azimuth({"invariance", run, "--batches", "1"}).exit == 0);
  runs.edit("run", "/optimizer/lr", 0.2);  // nobody can tell
  CHECK(run_azimuth({"resume", run, "--set", "train.epochs=2"}).exit == 0);
  const std::vector<json> history = lines_of(file);
  REQUIRE(history.size() == 1);
  CHECK(history[0]["step"] == 4);
}

TEST_CASE("describe says which options may change on resume") {
  const std::string config = run_azimuth({"describe", "config"}).out;
  std::set<std::string> marked;
  std::istringstream lines(config);
  for (std::string line; std::getline(lines, line);) {
    if (has(line, "may change on resume  ")) marked.insert(line.substr(2, line.find(' ', 2) - 2));
  }
  CHECK(marked.contains("train.epochs"));
  CHECK_FALSE(marked.contains("train.accumulate"));
  CHECK(marked.size() == 13);
  CHECK(has(config, "train anew instead"));
  CHECK(has(run_azimuth({"describe", "cifar10"}).out, "a path, may change on resume"));
}
