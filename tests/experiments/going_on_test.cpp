// What is said of a run, or a sweep, that cannot go on as it is asked to, and that nothing is lost by asking.
#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/base/files.h"
#include "experiments/say.h"
#include "tests/compare.h"
#include "tests/experiments/sweep_place.h"

using az::read_file;
using az::write_file;
using az::test::has;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// A run of the tiny config, of four steps an epoch.
struct Run {
  explicit Run(const std::string& train) { write_file(config, tiny_config(train)); }
  CommandResult train(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> command = {"train", config, "--run", path};
    command.insert(command.end(), more.begin(), more.end());
    return run_azimuth(command);
  }
  CommandResult resume(const std::string& set = "") const {
    std::vector<std::string> command = {"resume", path};
    if (!set.empty()) command.insert(command.end(), {"--set", set});
    return run_azimuth(command);
  }
  json state() const { return json::parse(read_file(path + "/checkpoints/last/state.json")); }
  json resolved() const { return json::parse(read_file(path + "/config.json")); }
  void edit(const char* file, const char* place, const json& value) const {
    json content = json::parse(read_file(path + file));
    content[json::json_pointer(place)] = value;
    write_file(path + file, content.dump(2));
  }
  json last_epoch() const {
    std::istringstream lines(read_file(path + "/metrics.jsonl"));
    json last;
    for (std::string line; std::getline(lines, line);) {
      if (json object = json::parse(line); object["kind"] == "epoch") last = object;
    }
    return last;
  }
  std::map<std::string, std::string> content() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(path))
      if (entry.is_regular_file()) files[entry.path().string()] = read_file(entry.path().string());
    return files;
  }

  TemporaryFolder folder;
  std::string config = (folder.path / "exp.json").string(), path = (folder.path / "run").string();
};

constexpr const char* shorter = "; a run cannot be made shorter than it is: raise it, or train anew with azimuth train\n";
constexpr const char* depends =
    ", which steps depend on; put it back, or train anew with azimuth train (azimuth describe config "
    "says what may change on resume)\n";

}  // namespace

TEST_CASE("a length below what is trained is refused, and nothing is touched; the length itself ends the run") {
  const Run run(R"({"epochs": 3, "log_every": 1})");
  REQUIRE(run.train({"--set", "train.max_steps=6"}).exit == 0);
  const auto before = run.content();
  const auto refused = [&](const std::string& set, const std::string& sentence) {
    const CommandResult result = run.resume(set);
    CHECK(result.exit == 2);
    CHECK(result.err == "azimuth: --set " + sentence + shorter);
    CHECK(run.content() == before);
  };
  refused("train.epochs=1", "train.epochs: 1 is less than the 1.5 epochs trained");
  refused("train.max_steps=5", "train.max_steps: 5 is less than the 6 steps trained");
  // At the key's place where config.json was edited.
  run.edit("/config.json", "/train/epochs", 1);
  const CommandResult edited = run.resume();
  CHECK(edited.exit == 2);
  CHECK_MESSAGE(edited.err.starts_with("azimuth: " + run.path + "/config.json:"), edited.err);
  CHECK(edited.err.ends_with(": train.epochs: 1 is less than the 1.5 epochs trained" + std::string(shorter)));
  run.edit("/config.json", "/train/epochs", 3);

  const CommandResult same = run.resume("train.max_steps=6");
  CHECK(same.exit == 0);
  CHECK(has(same.out, "Already finished, best test accuracy "));
  CHECK(run.resume("train.max_steps=null").exit == 0);
  CHECK(run.state()["step"] == 12);
  CHECK(run.resume("train.epochs=2").err ==
        "azimuth: --set train.epochs: 2 is less than the 3 epochs trained" + std::string(shorter));
}

TEST_CASE("a run that was killed before its first evaluation and is ended there is evaluated") {
  const Run run(R"({"epochs": 100000, "evaluation": {"every_epochs": 100000}, "log_every": 1})");
  {
    RunningCommand training({"train", run.config, "--run", run.path});
    REQUIRE(training.wait_until([&] {
      try {
        return run.state()["epochs"] >= 2;
      } catch (const std::exception&) {
        return false;  // it is just being replaced
      }
    }));
    training.signal(SIGKILL);
    training.wait();
  }
  if (!fs::exists(run.path + "/checkpoints/last"))
    fs::rename(run.path + "/checkpoints/last.old", run.path + "/checkpoints/last");
  const int64_t epochs = run.state()["epochs"];
  REQUIRE(run.state()["best_accuracy"].is_null());
  CHECK(run.resume("train.epochs=" + std::to_string(epochs - 1)).exit == 2);
  const CommandResult ended = run.resume("train.epochs=" + std::to_string(epochs));
  CHECK(ended.exit == 0);
  CHECK_MESSAGE(has(ended.out, "Final test accuracy "), ended.out);
  CHECK(run.state()["epochs"] == epochs);
  CHECK(run.state()["step"] == 4 * epochs);
  CHECK(run.state()["best_epoch"] == epochs);
  const json line = run.last_epoch();
  CHECK(line["epoch"] == epochs);
  CHECK(line["step"] == 4 * epochs);
  CHECK(line["test_accuracy"].is_number());
  CHECK(line["train_loss"].is_number());
  CHECK(has(run.resume().out, "Already finished, best test accuracy "));

  // A checkpoint of an older version, which counted an epoch without evaluation as measured.
  run.edit("/checkpoints/last/state.json", "/best_accuracy", nullptr);
  run.edit("/checkpoints/last/state.json", "/best_epoch", 0);
  CHECK(has(run.resume().out, "Already finished, not measured yet (azimuth eval " + run.path + " does it); "));
}

TEST_CASE("what changes on a finished run is told once, and kept") {
  const Run run(R"({"epochs": 1})");
  REQUIRE(run.train().exit == 0);
  const std::string note = "azimuth: note: train.log_every was 50 and is 7 now\n";
  CHECK(has(run.resume("train.log_every=7").err, note));
  CHECK(run.resolved()["train"]["log_every"] == 7);
  const CommandResult again = run.resume();
  CHECK_FALSE(has(again.err, "was 50"));
  CHECK(run.resolved()["train"]["log_every"] == 7);
}

TEST_CASE("a change of a list is told by lengths and the first difference, one of a type by the types") {
  const Run run(R"({"epochs": 1})");
  REQUIRE(run.train().exit == 0);
  const json trained = run.resolved();
  const auto said = [&](const json& config) {
    write_file(run.path + "/config.json", config.dump(2));
    const CommandResult result = run.resume();
    CHECK(result.exit == 2);
    CHECK_MESSAGE(result.err.starts_with("azimuth: " + run.path + "/config.json:"), result.err);
    const size_t path = result.err.find(": ", std::string("azimuth: ").size()) + 2;
    return result.err.substr(path);
  };
  json config = trained;
  config["model"]["layers"].erase(3);
  CHECK(said(config) ==
        "model.layers: was a list of 6 elements in the training so far and is one of 5, of which number 3 is the first that "
        "differs, now" +
            std::string(depends));
  config = trained;
  config["optimizer"]["type"] = "sgd";  // which has not all of the options
  CHECK(said(config).starts_with("optimizer.type: was \"sgdp\" in the training so far and is \"sgd\" now"));
  config["optimizer"]["type"] = "adamw";
  CHECK(said(config) == "optimizer.type: was \"sgdp\" in the training so far and is \"adamw\" now" + std::string(depends));
  config = trained;
  config["model"]["layers"][1]["type"] = "layer_norm";
  CHECK(said(config).starts_with("model.layers.1.type: was \"batch_norm\" in the training so far and is \"layer_norm\" now"));
  config = trained;
  config["optimizer"]["nesterof"] = true;  // no other type
  CHECK(said(config).starts_with("optimizer.nesterof: unknown key"));
}

TEST_CASE("a state that contradicts a config known to be unchanged is damaged itself") {
  const Run run(R"({"epochs": 3})");
  REQUIRE(run.train({"--set", "train.max_steps=5"}).exit == 0);
  const std::string file = "/checkpoints/last/state.json", whole = read_file(run.path + file);
  const auto damaged = [&](const char* key, int64_t value, const std::string& why) {
    run.edit(file.c_str(), key, value);
    const CommandResult result = run.resume("train.max_steps=null");
    CHECK(result.exit == 3);
    CHECK(result.err == "azimuth: " + run.path + file + " is damaged: " + why + "; put back a copy, or train anew\n");
    write_file(run.path + file, whole);
  };
  damaged("/batches", 900, "900 batches of an epoch are done, of the 4 that it makes one");
  damaged("/epochs", 7, "5 steps are done, which are not 7 epochs and 1 batches");
  damaged("/epochs", 1'000'000'000'000'000, "5 steps are done, which are not 1000000000000000 epochs and 1 batches");
  damaged("/batches", 2, "5 steps are done, which are not 1 epochs and 2 batches");
  damaged("/step", 8, "8 steps are done, which are not 1 epochs and 1 batches");
  CHECK(run.resume("train.max_steps=null").exit == 0);
}

TEST_CASE("a remedy can be given to a shell, whatever the folder is called") {
  for (const char* word : {"plain-1/a_b.c", "two words", "it's", "$HOME `x` \"y\" \\ *", ""}) {
    FILE* shell = ::popen(("printf %s " + az::experiments::quoted(word)).c_str(), "r");
    REQUIRE(shell);
    char text[100] = {};
    const size_t size = ::fread(text, 1, sizeof text, shell);
    ::pclose(shell);
    CHECK(std::string(text, size) == word);
  }
  CHECK(az::experiments::quoted("plain-1/a_b.c") == "plain-1/a_b.c");
  const Run run(R"({"epochs": 1})");
  const std::string path = (run.folder.path / "two words").string();
  REQUIRE(run_azimuth({"train", run.config, "--run", path}).exit == 0);
  CHECK(has(run_azimuth({"train", run.config, "--run", path}).err, "continue it with: azimuth resume '" + path + "'\n"));
}

TEST_CASE("a folder that cannot be looked into is a sentence with the reason and the exit code of a wrong argument") {
  TemporaryFolder folder;
  const std::string loop = (folder.path / "loop").string(), name = (folder.path / std::string(300, 'x')).string();
  fs::create_symlink("loop", loop);
  for (const auto& [path, reason] : {std::pair{loop, "Too many levels of symbolic links"}, {name, "File name too long"}}) {
    for (const char* command : {"resume", "eval", "report", "invariance"}) {
      CAPTURE(command);
      const CommandResult result = run_azimuth({command, path});
      CHECK(result.exit == 2);
      CHECK_MESSAGE(result.err.starts_with("azimuth: " + path.substr(0, 60)), result.err);  // a long one is cut
      CHECK_MESSAGE(result.err.ends_with(std::string("cannot be read: ") + reason + "\n"), result.err);
    }
  }
  // So it is with what lies in a run.
  const Run run(R"({"epochs": 1})");
  REQUIRE(run.train().exit == 0);
  for (const char* file : {"/configs.jsonl", "/checkpoints/last/state.json"}) {
    fs::rename(run.path + file, run.path + "/kept");
    fs::create_symlink(fs::path(file).filename(), run.path + file);
    const CommandResult result = run.resume();
    CHECK(result.exit == 3);
    CHECK_MESSAGE(
        has(result.err, run.path + file + ": cannot be read: Too many levels of symbolic links; put back a copy, or "),
        result.err);
    fs::remove(run.path + file);
    fs::rename(run.path + "/kept", run.path + file);
  }
}

TEST_CASE("a report written to where the program prints is the page alone") {
  const Run run(R"({"epochs": 1})");
  REQUIRE(run.train().exit == 0);
  const CommandResult printed = run_azimuth({"report", run.path, "-o", "/dev/stdout"});
  CHECK(printed.exit == 0);
  REQUIRE(run_azimuth({"report", run.path, "-o", run.path + "/page.html"}).exit == 0);
  CHECK(printed.out == read_file(run.path + "/page.html"));
}

TEST_CASE("a sweep leaves what it did not make, and says at --check what is wrong with its folder") {
  const SweepPlace place(R"({"base": "base.json", "seeds": [1, 2]})");
  const auto check = [&](const std::string& folder) {
    return run_azimuth({"sweep", place.sweep, "--check", "--folder", folder});
  };
  for (const std::string& folder : {place.base, place.base + "/below/it"}) {
    const CommandResult checked = check(folder), trained = run_azimuth({"sweep", place.sweep, "--folder", folder});
    CHECK(checked.exit == 2);
    CHECK(checked.err == "azimuth: cannot make the folder " + folder + ": Not a directory; choose another with --folder DIR\n");
    CHECK(trained.err == checked.err);
    CHECK(trained.exit == 2);
  }
  CHECK(check((place.folder.path / "new" / "one").string()).exit == 0);
  CHECK_FALSE(fs::exists(place.folder.path / "new"));

  const std::string iso = place.runs + "/debian.iso.part", mine = place.runs + "/tiny,seed=1/video.part";
  const std::string kept = place.runs + "/tiny,seed=2/checkpoints/mine";
  for (const std::string& file : {iso, mine, kept}) {
    fs::create_directories(fs::path(file).parent_path());
    write_file(file, "mine");
  }
  const CommandResult result = place.run();
  CHECK(result.exit == 1);
  for (const char* run : {"tiny,seed=1", "tiny,seed=2"}) CHECK(has(result.err, std::string(run) + " is in the way: "));
  for (const std::string& file : {iso, mine, kept}) CHECK(read_file(file) == "mine");
}

TEST_CASE("what may change on resume may change in a sweep, too, but for what its table is of") {
  const SweepPlace place(R"({"base": "base.json", "seeds": [1]})");
  const std::string run = place.runs + "/tiny,seed=1";
  // Half of a run, as a kill leaves it.
  REQUIRE(run_azimuth(
              {"train", place.base, "--set", "name=tiny,seed=1", "--set", "seed=1", "--set", "train.max_steps=4", "--run", run})
              .exit == 0);
  json config = json::parse(read_file(run + "/config.json"));
  config["train"]["max_steps"] = nullptr;
  write_file(run + "/config.json", config.dump());
  CommandResult result = place.run({"--set", "train.log_every=3"});
  CHECK_MESSAGE(result.exit == 0, result.err);
  config = json::parse(read_file(run + "/config.json"));
  CHECK(config["train"]["log_every"] == 3);
  CHECK(has(place.metrics("tiny,seed=1"), R"("kind":"step","step":6)"));

  for (const char* set : {"train.log_every=5", "checkpoint.keep=[\"last\"]", "train.threads=2"}) {
    result = place.run({"--set", set});
    CHECK_MESSAGE(result.exit == 0, result.err);
    CHECK(has(result.err, "1 done"));
  }
  result = place.run({"--set", "train.evaluation.test_time_augmentation=flip"});
  CHECK(result.exit == 2);
  CHECK(has(result.err, "was trained with another config: train.evaluation.test_time_augmentation \"none\", now \"flip\"; "));
  CHECK(has(place.run({"--set", "train.epochs=3"}).err, "train.epochs 2, now 3; "));
}
