#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "core/base/files.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"
#include "tests/scoped_variable.h"

using az::read_file;
using az::write_file;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// A command whose standard output is JSON.
json output_of(const std::vector<std::string>& arguments) {
  const CommandResult result = run_azimuth(arguments);
  INFO(result.err);
  REQUIRE(result.exit == 0);
  return json::parse(result.out);
}

}  // namespace

TEST_CASE("train, resume and eval of a small network") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "runs" / "one").string();
  write_file(config, tiny_config());
  const CommandResult trained = run_azimuth({"train", config, "--run", run, "--set", "train.epochs=2"});
  CHECK(trained.exit == 0);
  CHECK(trained.out.find("Final test accuracy ") == 0);
  CHECK(trained.out.find("The run lies in " + run + "\n") != std::string::npos);
  CHECK(trained.err.find("epoch 2/2  lr ") != std::string::npos);
  CHECK(trained.err.find('\r') == std::string::npos);
  CHECK(trained.err.find('\x1b') == std::string::npos);

  const json resolved = json::parse(read_file(run + "/config.json"));
  CHECK(resolved["train"]["epochs"] == 2);
  CHECK(resolved["optimizer"]["delta"] == 0.1);  // a default, written out
  const json environment = json::parse(read_file(run + "/environment.json"));
  for (const char* key : {"command", "date", "processor", "threads", "onednn", "openblas", "compiler"})
    CHECK(environment.contains(key));

  std::istringstream lines(read_file(run + "/metrics.jsonl"));
  std::vector<json> epochs;
  for (std::string line; std::getline(lines, line);) {
    const json object = json::parse(line);
    if (object["kind"] == "epoch") epochs.push_back(object);
  }
  REQUIRE(epochs.size() == 2);
  CHECK(epochs[1]["step"] == 8);
  CHECK(epochs[1]["images_per_second"].get<double>() * epochs[1]["seconds"].get<double>() == doctest::Approx(60));
  for (const char* key : {"epoch", "lr", "train_loss", "train_accuracy", "train_top5", "test_loss", "test_accuracy",
                          "test_top5", "seconds", "images_per_second"}) {
    CHECK(epochs[1][key].is_number());
  }
  const json last = output_of({"eval", run, "--checkpoint", "last", "--json"});
  CHECK(last["test_accuracy"] == epochs[1]["test_accuracy"]);
  CHECK(last["test_loss"] == epochs[1]["test_loss"]);

  const json again = output_of({"resume", run, "--json"});
  CHECK(again["epochs"] == 2);
}

TEST_CASE("the summary says what best is of, and time left counts max_steps") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string();
  write_file(config, tiny_config(R"({"epochs": 1000000, "max_steps": 8})"));
  for (const auto& [validation, part] : {std::pair{"0", "test"}, {"20", "validation"}}) {
    const CommandResult result = run_azimuth(
        {"train", config, "--run", (folder.path / part).string(), "--set", std::string("data.validation=") + validation});
    CHECK(result.exit == 0);
    CHECK(result.out.find(std::string(", best ") + part + " accuracy ") != std::string::npos);
    const size_t at = result.err.find("epoch 1/");
    REQUIRE(at != std::string::npos);
    const std::string line = result.err.substr(at, result.err.find('\n', at) - at);
    CHECK_MESSAGE(std::regex_search(line, std::regex(R"(^epoch 1/[23]  .* \d+:\d\d left$)")),
                  line);  // a million epochs would take hours
  }
}

TEST_CASE("a run that keeps no best is evaluated as it was last") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  write_file(config, tiny_config(R"({"epochs": 2})", R"(, "checkpoint": {"keep": []})"));
  const json trained = output_of({"train", config, "--run", run, "--json"});
  CHECK(trained["best_of"] == "test");
  const json last = output_of({"eval", run, "--json"});
  CHECK(last["checkpoint"] == "last");
  CHECK(last["epochs"] == 2);
  CHECK(last["test_loss"] == trained["test_loss"]);
  CHECK(run_azimuth({"eval", run}).err.find("last checkpoint, after 2 epochs\n") != std::string::npos);
  const CommandResult best = run_azimuth({"eval", run, "--checkpoint", "best"});
  CHECK(best.exit == 3);
  CHECK(best.err.find("azimuth: there is no checkpoint at " + run + "/checkpoints/best; ") == 0);
}

TEST_CASE("the quickstart learns, in a shorter form of it") {
  TemporaryFolder folder;
  std::vector<std::string> command = {"train", "experiments/configs/quickstart.json", "--run", (folder.path / "run").string(),
                                      "--json"};
  for (const char* change : {"data.train_images=2000", "data.test_images=500", "data.batch_size=32", "model.width=8",
                             "train.epochs=5", "train.deterministic=true"})
    command.insert(command.end(), {"--set", change});
  CHECK(output_of(command)["test_accuracy"].get<double>() > 0.4);  // 0.63 to 0.87, by seed and threads; chance is 0.1
}

TEST_CASE("the next free run folder is taken") {
  TemporaryFolder folder;
  write_file((folder.path / "exp.json").string(), tiny_config(R"({"epochs": 1})"));
  const fs::path before = fs::current_path();
  fs::current_path(folder.path);
  for (const char* expected : {"runs/tiny", "runs/tiny-2", "runs/tiny-3"})
    CHECK(output_of({"train", "exp.json", "--json"})["run"] == expected);
  // The program's own commit, not that of the place where it runs, which has none.
  CHECK(json::parse(read_file("runs/tiny/environment.json"))["commit"] != "");
  fs::current_path(before);
}

TEST_CASE("SIGINT finishes the step, saves, exits with 130; SIGTERM with 143; resume goes on") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string();
  write_file(config, tiny_config(R"({"epochs": 100000, "log_every": 1})"));
  for (const auto& [number, code] : {std::pair{SIGINT, 130}, std::pair{SIGTERM, 143}}) {
    const std::string run = (folder.path / std::to_string(code)).string();
    RunningCommand command({"train", config, "--run", run});
    const std::string log = run + "/metrics.jsonl";
    REQUIRE(command.wait_until([&] { return fs::exists(log) && fs::file_size(log) > 1000; }));
    command.signal(number);
    const CommandResult result = command.wait();
    CHECK(result.exit == code);
    CHECK(result.err.find("saved; continue with: azimuth resume " + run) != std::string::npos);
    const json state = json::parse(read_file(run + "/checkpoints/last/state.json"));
    const int64_t step = state["step"];
    CHECK(step > 0);
    CHECK(state["metrics_bytes"] == fs::file_size(log));

    std::string resolved = read_file(run + "/config.json");
    resolved.replace(resolved.find("100000"), 6, std::to_string(state["epochs"].get<int64_t>() + 1));
    write_file(run + "/config.json", resolved);
    CHECK(output_of({"resume", run, "--json"})["step"] == 4 * (state["epochs"].get<int64_t>() + 1));
  }
}

TEST_CASE("check prints the layer table and needs no data") {
  const TemporaryFolder folder;
  const json table = output_of({"check", "experiments/configs/cifar10_resnet20_sgd.json", "--json", "--set",
                                "data.root=" + (folder.path / "absent").string()});
  CHECK(table["parameters"] == 272474);
  CHECK(table["layers"][1]["path"] == "conv1");
  CHECK(table["layers"][1]["output"] == json({1, 16, 32, 32}));
  CHECK(table["layers"][1]["multiply_adds"] == 3 * 16 * 9 * 32 * 32);
  const CommandResult text = run_azimuth({"check", "experiments/configs/quickstart.json"});
  CHECK(text.exit == 0);
  CHECK(text.out.find("layer3.2.conv2") != std::string::npos);
}

TEST_CASE("every shipped config is valid and says what to expect") {
  int count = 0;
  for (const auto& file : fs::directory_iterator("experiments/configs")) {
    if (file.path().stem().string().ends_with("_sweep")) continue;
    CAPTURE(file.path().string());
    CHECK(run_azimuth({"check", file.path().string()}).exit == 0);
    const json config = json::parse(read_file(file.path().string()));
    CHECK(config["description"].get<std::string>().find("Expect") != std::string::npos);
    CHECK(config["name"] == file.path().stem().string());
    ++count;
  }
  CHECK(count >= 9);
}

TEST_CASE("describe and schema") {
  const CommandResult list = run_azimuth({"describe"});
  CHECK(list.exit == 0);
  for (const char* name : {"cifar10", "shapes", "random_crop", "cifar_resnet", "conv2d", "sgdp", "cosine"})
    CHECK(list.out.find(name) != std::string::npos);
  const CommandResult sgdp = run_azimuth({"describe", "sgdp"});
  CHECK(sgdp.out.find("wd_ratio") != std::string::npos);
  CHECK(run_azimuth({"describe", "config"}).out.find("train.epochs") != std::string::npos);
  CHECK(run_azimuth({"describe", "sweep"}).out.find("variants[].seeds") != std::string::npos);
  const CommandResult both = run_azimuth({"describe", "sgdp", "--as", "man"});
  CHECK(both.exit == 2);
  CHECK(both.err == "azimuth: describe takes a name or --as, not both\n");
  const json schema = output_of({"schema"});
  CHECK(schema["properties"].contains("optimizer"));
  CHECK(output_of({"schema", "config"}) == schema);
  CHECK(output_of({"schema", "sweep"})["properties"]["grid"]["type"] == "object");
}

TEST_CASE("doctor tells of a cache that is nowhere, or of no use") {
  TemporaryFolder folder;
  const fs::path loop = folder.path / "loop", file = folder.path / "file";
  fs::create_symlink(loop, loop);
  write_file(file.string(), "");
  const auto remedy = [](const char* variable, const std::string& value) {
    std::string found;
    const CommandResult result =
        run_through({"env", "-u", "HOME", "-u", "XDG_CACHE_HOME", variable + value}, {"doctor", "--json"});
    REQUIRE(result.exit == 0);
    for (const json& finding : json::parse(result.out)) {
      if (finding["subject"] == "cache") found = finding["remedy"];
    }
    return found;
  };
  CHECK(remedy("HOME=", "") == "HOME is not set: set XDG_CACHE_HOME to a folder you own");
  CHECK(remedy("HOME=", folder.path.string()) == "");
  const std::string absent = (folder.path / "absent").string();
  CHECK(remedy("HOME=", absent) == "HOME, " + absent + ", is not there: set XDG_CACHE_HOME to a folder you own");
  for (const fs::path& bad : {loop, file})
    CHECK(remedy("XDG_CACHE_HOME=", bad.string()) == "cannot write there: set XDG_CACHE_HOME to a folder you own");
}

TEST_CASE("help, version, doctor and data") {
  const CommandResult help = run_azimuth({"--help"});
  CHECK(help.exit == 0);
  for (const char* command : {"train", "resume", "eval", "check", "describe", "schema", "data", "doctor"})
    CHECK(help.out.find(command) != std::string::npos);
  CHECK(run_azimuth({"--version"}).out == "azimuth 0.1.0\n");
  CHECK(run_azimuth({"train", "--help"}).exit == 0);
  bool onednn = false;
  for (const json& finding : output_of({"doctor", "--json"})) onednn = onednn || finding["subject"] == "oneDNN";
  CHECK(onednn);
  const TemporaryFolder folder;
  const std::string absent = (folder.path / "absent").string();
  const ScopedVariable cache("XDG_CACHE_HOME", absent.c_str());
  CHECK(run_azimuth({"data", "path"}).out == absent + "/azimuth/datasets\n");
  for (const json& set : output_of({"data", "list", "--json"})) CHECK(set["state"] == "absent");
}

TEST_CASE("a data set that is damaged, or cannot be read, is listed as such, by doctor too") {
  TemporaryFolder cache;
  const fs::path set = cache.path / "azimuth" / "datasets" / "cifar-100-binary";
  fs::create_directories(set);
  write_file((set / "train.bin").string(), "too short");
  const fs::path loop = set.parent_path() / "cifar-10-batches-bin";
  fs::create_directory_symlink(loop, loop);
  const ScopedVariable cache_folder("XDG_CACHE_HOME", cache.path.c_str());
  const json list = output_of({"data", "list", "--json"}), findings = output_of({"doctor", "--json"});
  const std::string text = run_azimuth({"data", "list"}).out;
  const std::string damage = "cifar100: " + (set / "train.bin").string() + " ends in record 0: 9 bytes";
  const std::string unreadable = "cannot read " + loop.string() + ": Too many levels of symbolic links";
  CHECK(list[0]["state"] == "unreadable");
  CHECK(list[0]["reason"] == unreadable);
  CHECK(text.find("cifar10    " + unreadable + "; make it readable\n") != std::string::npos);
  CHECK(list[1]["state"] == "damaged");
  CHECK(list[1]["reason"].get<std::string>().find(damage) == 0);
  CHECK(text.find("cifar100   damaged: " + damage) != std::string::npos);
  CHECK(text.find("; replace it with: azimuth data get cifar100\n") != std::string::npos);
  bool found = false;
  for (const json& finding : findings) {
    if (finding["subject"] != "cifar100") continue;
    found = true;
    CHECK(finding["ok"] == false);
    CHECK(finding["state"].get<std::string>().find("damaged: " + damage) == 0);
    CHECK(finding["remedy"] == "replace it with: azimuth data get cifar100");
  }
  CHECK(found);
}
