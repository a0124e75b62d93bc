// What a run survives: damage to its files, a disk that is full, a kill at any moment.
#include <doctest/doctest.h>
#include <fmt/core.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "core/base/files.h"
#include "experiments/checkpoint.h"
#include "experiments/history.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"

using az::OutputFile;
using az::read_file;
using az::write_file;
using az::experiments::existing_checkpoint;
using az::experiments::record_config;
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
  CHECK(result.err.find("azimuth: " + algorithms + " is damaged: it is not JSON; ") == 0);
  fs::resize_file(state, 20);
  result = run_azimuth({"resume", run});
  CHECK(result.exit == 3);
  CHECK(result.err.find("azimuth: " + state + " is damaged: ") == 0);
  fs::resize_file(model, 100);
  result = run_azimuth({"resume", run});
  CHECK(result.exit == 3);
  CHECK_MESSAGE(result.err.starts_with("azimuth: " + model + ": truncated: "), result.err);
  CHECK(result.err.ends_with("; put back a copy, or train anew\n"));
  fs::remove(model);
  result = run_azimuth({"resume", run});
  CHECK(result.exit == 3);
  CHECK(result.err == "azimuth: " + model + ": cannot be read: No such file or directory; put back a copy, or train anew\n");
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
  const auto refused = [&](const std::string& text, const std::string& why) {
    write_file(file, text);
    const auto before = content(run);
    const std::string sentence = "azimuth: " + file + " is damaged: " + why + "; put back a copy, or train anew\n";
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"resume", run}, {"eval", run, "--checkpoint", "last"}}) {
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
  refused(with("/step", "8"), "\"step\" must be a whole number from 0 to 1000000000000000, got \"8\"");
  refused(with("/step", -1), "\"step\" must be a whole number from 0 to 1000000000000000, got -1");
  refused(with("/step", 7.5), "\"step\" must be a whole number from 0 to 1000000000000000, got 7.5");
  for (const char* key : {"epochs", "step", "batches", "measured", "best_epoch", "metrics_bytes"}) {
    for (const uint64_t much : {uint64_t(1) << 63, uint64_t(INT64_MAX), uint64_t(4611686018427387904), uint64_t(1e15) + 1}) {
      refused(with(("/" + std::string(key)).c_str(), much),
              fmt::format("\"{}\" must be a whole number from 0 to 1000000000000000, got {}", key, much));
    }
  }
  const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
  for (const char* key : {"format", "epochs", "lr", "train"}) {
    json state = json::parse(whole);
    state[key] = "DEEP";
    std::string text = state.dump();
    refused(text.replace(text.find("\"DEEP\""), 6, deep),
            std::string(key) == "train" ? "\"loss_sum\" is missing"
            : std::string(key) == "lr"
                ? "\"lr\" must be a number, got a list"
                : fmt::format("\"{}\" must be a whole number from 0 to 1000000000000000, got a list", key));
  }
  refused(with("/lr", nullptr), "\"lr\" must be a number, got null");
  refused(with("/train/images", true), "\"images\" must be a whole number from 0 to 1000000000000000, got true");
  refused(with("/train/correct", 1000), "\"correct\", \"top5\" and \"images\" contradict each other");
  refused(with("/precision", "f16"), "\"precision\" must be \"f32\" or \"bf16\", got \"f16\"");
  refused(with("/seconds", -1.0), "a time is negative");
  refused(with("/best_accuracy", 1.5), "\"best_accuracy\" and \"best_epoch\" cannot be");
  refused(with("/best_epoch", 3), "\"best_accuracy\" and \"best_epoch\" cannot be");
  write_file(file, whole);
  CHECK(run_azimuth({"resume", run}).exit == 0);
}

TEST_CASE(
    "without a history, a config.json that was changed is said not to fit the checkpoint, or to be too short; eval takes it "
    "all the same") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  write_file(config, tiny_config(R"({"epochs": 3, "max_steps": 10, "log_every": 1})"));
  REQUIRE(run_azimuth({"train", config, "--run", run}).exit == 0);
  const std::string config_file = run + "/config.json", state_file = run + "/checkpoints/last/state.json";
  const json trained = json::parse(read_file(config_file));
  json state = json::parse(read_file(state_file));
  state["epochs"] = 2;  // as if stopped within the third
  state["batches"] = 2;
  state["best_epoch"] = 1;
  write_file(state_file, state.dump());
  fs::remove(run + "/configs.jsonl");
  const auto before = content(run + "/checkpoints");
  const auto resume = [&](const char* place, const json& value) {
    json changed = trained;
    changed[json::json_pointer(place)] = value;
    write_file(config_file, changed.dump());
    CHECK(run_azimuth({"eval", run, "--checkpoint", "last"}).exit == 0);
    const CommandResult result = run_azimuth({"resume", run});
    CHECK(content(run + "/checkpoints") == before);
    return result;
  };
  const std::string remedy = "; put it back as it was, or train anew\n";
  const std::string misfit = "azimuth: " + config_file + " does not fit the checkpoint: ";
  for (const auto& [size, why] : {std::pair{60, "2 batches of an epoch are done, of the 1 that it makes one"},
                                  {20, "10 steps are done, which are not 2 epochs and 2 batches"}}) {
    const CommandResult result = resume("/data/batch_size", size);
    CHECK(result.exit == 2);
    CHECK(result.err == misfit + why + remedy);
  }
  for (const int epochs : {1, 2}) {
    const CommandResult result = resume("/train/epochs", epochs);
    CHECK(result.exit == 2);
    CHECK_MESSAGE(
        result.err.find(fmt::format(": train.epochs: {} is less than the 2.5 epochs trained; ", epochs)) != std::string::npos,
        result.err);
  }
}

TEST_CASE("a run goes on without the part of its log that is lost, and says so") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  write_file(config, tiny_config(R"({"epochs": 2, "log_every": 1, "max_steps": 4})", R"(, "checkpoint": {"keep": ["last"]})"));
  REQUIRE(run_azimuth({"train", config, "--run", run}).exit == 0);
  json resolved = json::parse(read_file(run + "/config.json"));
  resolved["train"]["max_steps"] = nullptr;
  write_file(run + "/config.json", resolved.dump());
  const std::string log = run + "/metrics.jsonl", whole = read_file(log);
  const auto saved = folder.path / "saved";
  fs::copy(run, saved, fs::copy_options::recursive);
  // How many bytes of the log are left, and how many of its steps.
  const std::vector<std::pair<size_t, int>> damages = {{0, 0}, {whole.find('\n') + 8, 1}, {whole.size(), 4}};
  for (const auto& [left, kept] : damages) {
    CAPTURE(left);
    fs::remove_all(run);
    fs::copy(saved, run, fs::copy_options::recursive);
    left == 0 ? void(fs::remove(log)) : fs::resize_file(log, left);
    const CommandResult result = run_azimuth({"resume", run});
    CHECK(result.exit == 0);
    const std::string note = fmt::format(
        "azimuth: note: {} has whole lines in {} bytes of the {} written before the checkpoint; what is lost is left out\n",
        log, left == 0 ? 0 : whole.rfind('\n', left - 1) + 1, whole.size());
    CHECK((result.err.find(note) != std::string::npos) == (left < whole.size()));
    std::vector<int> steps, wanted;
    std::istringstream lines(read_file(log));
    for (std::string line; std::getline(lines, line);)
      if (const json object = json::parse(line); object["kind"] == "step") steps.push_back(object["step"]);
    for (int step = 1; step <= kept; ++step) wanted.push_back(step);
    for (int step = 5; step <= 8; ++step) wanted.push_back(step);
    CHECK(steps == wanted);
  }
}

TEST_CASE("a disk that is full ends a training with a sentence, and the checkpoint of before stays whole") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  std::string text = tiny_config(R"({"epochs": 2, "log_every": 1, "max_steps": 4})");
  write_file(config, text.replace(text.find("cosine"), 6, "constant"));
  REQUIRE(run_azimuth({"train", config, "--run", run}).exit == 0);
  const auto resume = [&](int blocks, int log_every) {
    json resolved = json::parse(read_file(run + "/config.json"));
    resolved["train"]["max_steps"] = nullptr;
    resolved["train"]["log_every"] = log_every;
    resolved["checkpoint"]["keep"] = {"last"};
    write_file(run + "/config.json", resolved.dump());
    record_config(run, az::experiments::load_run_config(run), 4);  // which leaves the resumed run none of it to write
    // No file may grow beyond so many blocks of 1024 bytes.
    const std::string limit = "ulimit -f " + std::to_string(blocks) + R"(; exec "$0" "$@")";
    return run_through({"bash", "-c", limit}, {"resume", run});
  };
  az::experiments::register_builtin();
  const auto before = content(run + "/checkpoints");
  CHECK(resume(0, 1).exit == 1);  // not even its own message can be written
  for (const auto& [log_every, failure] :
       {std::pair{1, "azimuth: {}/metrics.jsonl: cannot be written: File too large\n"},
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
  write_file(config, tiny_config(R"({"epochs": 100000, "log_every": 1, "threads": 1, "deterministic": true})"));
  const std::string whole = (folder.path / "whole").string(), run = (folder.path / "killed").string();
  const auto steps = [&]() -> int64_t {
    try {
      return json::parse(read_file(existing_checkpoint(run + "/checkpoints/last") + "/state.json"))["step"];
    } catch (const std::exception&) {
      return 0;  // there is none yet, or it is just being replaced
    }
  };
  std::mt19937 random(7);
  const std::string schedule = R"(schedule={"type": "exponential", "gamma": 0.999})";  // no two steps are of one length
  std::vector<std::string> command = {"train", config, "--run", run, "--set", schedule};
  for (int i = 0; i < 5; ++i) {
    const int64_t before = steps();
    RunningCommand running(command);
    // Not before it got further than the one before it: else nothing would be resumed.
    REQUIRE(running.wait_until([&] { return steps() > before; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 50));
    running.signal(SIGKILL);
    CHECK(running.wait().exit == -SIGKILL);
    command = {"resume", run};
  }
  const int64_t end = steps() + 20;  // beyond the best that the last one may have kept before its kill
  auto written = json::parse(read_file(run + "/config.json"));
  written["train"]["max_steps"] = end;
  write_file(run + "/config.json", written.dump());
  const CommandResult rest = run_azimuth({"resume", run});
  INFO(rest.err);
  CHECK(rest.exit == 0);
  REQUIRE(
      run_azimuth({"train", config, "--run", whole, "--set", schedule, "--set", fmt::format("train.max_steps={}", end)}).exit ==
      0);
  for (const char* name : {"last/model", "last/optimizer", "best/model", "best/optimizer"}) {
    const std::string file = std::string("/checkpoints/") + name + ".safetensors";
    CHECK_MESSAGE(read_file(run + file) == read_file(whole + file), file);
  }
  CHECK(std::distance(fs::directory_iterator(run + "/checkpoints"), {}) == 2);
}

TEST_CASE("what a kill or a failed delete left beside checkpoints is cleared where the run goes on, whatever state it is in") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), whole = (folder.path / "whole").string();
  std::string text = tiny_config(R"({"epochs": 3, "log_every": 1, "deterministic": true, "threads": 1})");
  write_file(config, text.replace(text.find("cosine"), 6, "constant"));
  REQUIRE(run_azimuth({"train", config, "--run", whole}).exit == 0);
  const std::string begun = (folder.path / "begun").string(), run = (folder.path / "run").string();
  REQUIRE(run_azimuth({"train", config, "--run", begun, "--set", "train.epochs=2"}).exit == 0);
  const auto half = [](const fs::path& checkpoint) {
    fs::create_directories(checkpoint);
    write_file((checkpoint / "model.safetensors").string(), "half");
    write_file((checkpoint / ".azimuth-1-1.part").string(), "");
  };
  const auto stale = [&](const fs::path& checkpoint) { fs::copy(whole + "/checkpoints/best", checkpoint); };
  const std::string held = "/.azimuth-2-1.part";  // by a process that is writing it
  const std::string left[] = {"/.azimuth-1-1.part", "/.azimuth-1-2.part"}, mine = "/notes.part";
  for (const char* name : {"last", "best"}) {
    for (const int state : {1, 2, 3, 4, 5, 6}) {
      CAPTURE(name);
      CAPTURE(state);
      fs::remove_all(run);
      fs::copy(begun, run, fs::copy_options::recursive);
      const fs::path at = run + "/checkpoints/" + name, fresh = at.string() + ".new", aside = at.string() + ".old";
      if (state == 1) half(fresh);                         // killed while it was written
      if (state == 2) stale(fresh);                        // killed after the exchange
      if (state == 3) fs::rename(at, aside), half(fresh);  // killed between two renames, without an exchange
      if (state == 4) stale(aside);                        // killed before the delete
      if (state == 5) fs::rename(at, aside);               // killed after the first of two renames, and .new deleted by hand
      if (state == 6) stale(aside), half(fresh);
      for (const std::string& part : left) write_file(run + part, "{");
      write_file(run + mine, "mine");
      OutputFile writing(run + held);
      REQUIRE(writing.lock());
      // What is to be loaded is there before, too.
      CHECK(run_azimuth({"eval", run, "--checkpoint", name}).exit == 0);
      const CommandResult result = run_azimuth({"resume", run, "--set", "train.epochs=3"});
      CHECK_MESSAGE(result.exit == 0, result.err);
      std::set<std::string> names;
      for (const auto& entry : fs::directory_iterator(run + "/checkpoints")) names.insert(entry.path().filename());
      CHECK(names == std::set<std::string>{"best", "last"});
      for (const std::string& part : left) CHECK_FALSE(fs::exists(run + part));
      CHECK(fs::exists(run + held));
      CHECK(read_file(run + mine) == "mine");
      for (const std::string file : {"/checkpoints/last/model.safetensors", "/checkpoints/last/optimizer.safetensors"})
        CHECK(read_file(run + file) == read_file(whole + file));
    }
  }
  // Nothing is left to train: it is cleared all the same.
  half(run + "/checkpoints/last.new");
  CHECK(run_azimuth({"resume", run}).exit == 0);
  CHECK_FALSE(fs::exists(run + "/checkpoints/last.new"));
}
