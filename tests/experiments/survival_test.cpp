// What a run survives: damage to its files, a disk that is full, a kill at any moment.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "experiments/files.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"

using az::experiments::read_file;
using az::experiments::write_file;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// Every file of a folder, by path, with its content.
std::map<std::string, std::string> content(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files[fs::relative(entry.path(), folder).string()] = read_file(entry.path().string());
  }
  return files;
}

}  // namespace

TEST_CASE("damaged checkpoints") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  write_file(config, tiny_config(R"({"epochs": 1})"));
  REQUIRE(run_azimuth({"train", config, "--run", run}).exit == 0);
  const std::string algorithms = run + "/checkpoints/last/algorithms.json";
  const std::string state = run + "/checkpoints/last/state.json", model = run + "/checkpoints/last/model.safetensors";
  fs::resize_file(algorithms, 20);
  CommandResult result = run_azimuth({"resume", run});
  CHECK(result.exit == 3);
  CHECK(result.err.find("azimuth: " + algorithms + " is damaged: ") == 0);
  fs::resize_file(state, 20);
  result = run_azimuth({"resume", run});
  CHECK(result.exit == 3);
  CHECK(result.err.find("azimuth: " + state + " is damaged: ") == 0);
  fs::resize_file(model, 100);
  result = run_azimuth({"resume", run});
  CHECK(result.exit == 3);
  CHECK(result.err.find(model) != std::string::npos);
  fs::remove_all(run + "/checkpoints");
  result = run_azimuth({"eval", run});
  CHECK(result.exit == 3);
  CHECK(result.err == "azimuth: there is no checkpoint at " + run + "/checkpoints/last; put back a copy, or train anew\n");
}

TEST_CASE("a state that cannot be is refused in one sentence, and nothing is overwritten") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  write_file(config, tiny_config(R"({"epochs": 2, "log_every": 1})"));
  REQUIRE(run_azimuth({"train", config, "--run", run}).exit == 0);
  const std::string file = run + "/checkpoints/last/state.json";
  const std::string whole = read_file(file);
  const auto refused = [&](const std::string& text, const std::string& why, bool by_eval = true) {
    write_file(file, text);
    const auto before = content(run);
    const std::string sentence = "azimuth: " + file + " is damaged: " + why + "; put back a copy, or train anew\n";
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"resume", run}, {"eval", run, "--checkpoint", "last"}}) {
      if (command[0] == "eval" && !by_eval) continue;
      const CommandResult result = run_azimuth(command);
      CHECK(result.exit == 3);
      CHECK(result.err == sentence);
      CHECK(result.out == "");
    }
    CHECK(content(run) == before);
  };
  const auto with = [&](const char* place, const json& value) {
    json state = json::parse(whole);
    state[json::json_pointer(place)] = value;
    return state.dump();
  };
  const auto without = [&](const char* key) {
    json state = json::parse(whole);
    state.erase(key);
    return state.dump();
  };
  refused(whole.substr(0, 20), "it is not JSON");
  refused("{\"format\": 1, \"epochs\": NaN}", "it is not JSON");
  refused("[]", "\"format\" is missing");
  refused(with("/format", 2), "\"format\" must be 1, got 2");
  for (const char* key : {"epochs", "step", "batches", "train", "epoch_seconds", "seconds", "random", "lr", "best_accuracy",
                          "best_epoch", "metrics_bytes"})
    refused(without(key), fmt::format("\"{}\" is missing", key));
  refused(with("/step", "8"), "\"step\" must be a whole number from 0 on, got \"8\"");
  refused(with("/step", -1), "\"step\" must be a whole number from 0 on, got -1");
  refused(with("/step", 7.5), "\"step\" must be a whole number from 0 on, got 7.5");
  refused(with("/epochs", uint64_t(1) << 63), "\"epochs\" must be a whole number from 0 on, got 9223372036854775808");
  refused(with("/lr", nullptr), "\"lr\" must be a number, got null");
  refused(with("/train/images", true), "\"images\" must be a whole number from 0 on, got true");
  refused(with("/train/correct", 1), "\"correct\", \"top5\" and \"images\" contradict each other");
  refused(with("/precision", "f16"), "\"precision\" must be \"f32\" or \"bf16\", got \"f16\"");
  refused(with("/seconds", -1.0), "a time is negative");
  refused(with("/best_accuracy", 1.5), "\"best_accuracy\" and \"best_epoch\" cannot be");
  refused(with("/best_epoch", 3), "\"best_accuracy\" and \"best_epoch\" cannot be");
  refused(with("/epochs", 3), "3 epochs are done of the 2 in config.json");
  refused(with("/batches", 5), "5 batches are done of the 4 that config.json makes an epoch");
  refused(with("/step", 9), "9 steps do not fit 2 epochs and 0 batches of config.json");
  refused(with("/step", 0), "0 steps do not fit 2 epochs and 0 batches of config.json");
  const auto bytes = std::to_string(fs::file_size(run + "/metrics.jsonl"));
  refused(with("/metrics_bytes", 1000000), "metrics.jsonl has " + bytes + " bytes, fewer than \"metrics_bytes\": 1000000", false);
  write_file(file, whole);
  CHECK(run_azimuth({"resume", run}).exit == 0);
}

TEST_CASE("a disk that is full ends a training with a sentence, and the checkpoint of before stays whole") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  write_file(config, tiny_config(R"({"epochs": 2, "log_every": 1, "max_steps": 4})"));
  REQUIRE(run_azimuth({"train", config, "--run", run}).exit == 0);
  const auto resume = [&](int blocks, int log_every) {
    json resolved = json::parse(read_file(run + "/config.json"));
    resolved["train"]["max_steps"] = nullptr;
    resolved["train"]["log_every"] = log_every;
    resolved["checkpoint"]["keep"] = {"last"};
    write_file(run + "/config.json", resolved.dump());
    // No file may grow beyond so many blocks of 1024 bytes.
    const std::string limit = "trap '' XFSZ; ulimit -f " + std::to_string(blocks) + R"(; exec "$0" "$@")";
    return run_through({"bash", "-c", limit}, {"resume", run});
  };
  const auto before = content(run + "/checkpoints");
  CHECK(resume(0, 1).exit == 1);  // not even its own message can be written
  for (const auto& [log_every, failure] :
       {std::pair{1, "azimuth: cannot write {}/metrics.jsonl: File too large\n"},
        std::pair{50, "azimuth: {}/checkpoints/last.new/model.safetensors: cannot be written: File too large\n"}}) {
    const CommandResult result = resume(1, log_every);
    INFO(result.err);
    CHECK(result.exit == 1);
    CHECK(result.err.find(fmt::format(fmt::runtime(failure), run)) != std::string::npos);
    auto after = content(run + "/checkpoints");
    for (const auto& [name, bytes] : before) CHECK(after[name] == bytes);
  }
  CHECK(resume(1000, 1).exit == 0);
  const std::string whole = (folder.path / "whole").string();
  REQUIRE(run_azimuth({"train", config, "--run", whole, "--set", "train.max_steps=null"}).exit == 0);
  for (const std::string file : {"/checkpoints/last/model.safetensors", "/checkpoints/last/optimizer.safetensors"})
    CHECK(read_file(run + file) == read_file(whole + file));
}

TEST_CASE("a run killed again and again ends with the same bits as one left alone") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string();
  write_file(config, tiny_config(R"({"epochs": 60, "log_every": 1, "threads": 1, "deterministic": true})"));
  const std::string whole = (folder.path / "whole").string(), run = (folder.path / "killed").string();
  REQUIRE(run_azimuth({"train", config, "--run", whole}).exit == 0);
  std::mt19937 random(7);
  int kills = 0;
  std::vector<std::string> command = {"train", config, "--run", run};
  for (int i = 0; i < 5; ++i) {
    RunningCommand running(command);
    // Not before there is something to resume: an earlier kill leaves a new run to be started.
    for (int wait = 0; wait < 6000 && !fs::exists(run + "/checkpoints/last/state.json"); ++wait)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 150));
    running.signal(SIGKILL);
    const CommandResult result = running.wait();
    kills += result.exit == -SIGKILL;
    command = {"resume", run};
  }
  CHECK(kills > 0);
  const CommandResult rest = run_azimuth({"resume", run});
  INFO(rest.err);
  CHECK(rest.exit == 0);
  for (const char* name : {"last/model", "last/optimizer", "best/model", "best/optimizer"}) {
    const std::string file = std::string("/checkpoints/") + name + ".safetensors";
    CHECK_MESSAGE(read_file(run + file) == read_file(whole + file), file);
  }
  CHECK(std::distance(fs::directory_iterator(run + "/checkpoints"), {}) == 2);
}
