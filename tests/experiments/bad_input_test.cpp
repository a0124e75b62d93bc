// What the program says, and returns, when it is given something wrong: one line, with place and remedy.
#include <doctest/doctest.h>

#include <fstream>

#include "experiments/files.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"

using az::experiments::read_file;
using az::experiments::write_file;
namespace fs = std::filesystem;

namespace {

// The one line that `azimuth check` says of a config in which `from` was replaced by `to`; the file's folder is left out.
std::string complaint(const std::string& from, const std::string& to) {
  TemporaryFolder folder;
  std::string text = tiny_config();
  REQUIRE(text.find(from) != std::string::npos);
  text.replace(text.find(from), from.size(), to);
  const std::string path = (folder.path / "exp.json").string();
  write_file(path, text);
  const CommandResult result = run_azimuth({"check", path});
  CHECK(result.exit == 2);
  CHECK(result.out == "");
  std::string line = result.err;
  for (size_t at; (at = line.find(folder.path.string() + "/")) != std::string::npos;)
    line.erase(at, folder.path.string().size() + 1);
  return line;
}

// A CIFAR-10 folder of the right sizes, all zeros.
void write_cifar(const fs::path& folder) {
  const std::string bytes(30'730'000, '\0');
  fs::create_directories(folder);
  for (const char* name :
       {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"}) {
    std::ofstream(folder / name, std::ios::binary) << bytes;
  }
}

std::string cifar_config(const fs::path& root) {
  return R"({"data": {"type": "cifar10", "root": ")" + root.string() + R"("}, "model": {"type": "cifar_resnet"},
    "optimizer": {"type": "sgd", "lr": 0.1}})";
}

}  // namespace

TEST_CASE("config errors name file, line, column, path and remedy") {
  CHECK(complaint(R"("momentum")", R"("momentun")") ==
        "azimuth: exp.json:13:45: optimizer.momentun: unknown key; did you mean \"momentum\"?\n");
  CHECK(complaint(R"("seed": 3)", R"("seed": 3, "seed": 4)") == "azimuth: exp.json:3:14: seed: duplicate key, first at line 3\n");
  CHECK(complaint(R"("lr": 0.1)", R"("lr": "fast")") ==
        "azimuth: exp.json:13:39: optimizer.lr: expected a number, got \"fast\"\n");
  CHECK(complaint(R"("lr": 0.1)", R"("lr": -1)") == "azimuth: exp.json:13:39: optimizer.lr: must be more than 0, got -1\n");
  CHECK(complaint(R"("type": "sgdp")", R"("type": "sgpd")") == "");
  CHECK(complaint(R"("epochs": 3)", R"("epochs": 0)") == "");
  CHECK(complaint(R"("epochs": 3)", R"("epochs": 2.5)") == "");
  CHECK(complaint(R"("epochs": 3)", R"("precision": "f16")") == "");
  CHECK(complaint(R"("name": "tiny")", R"("name": "a/b")") == "");
  CHECK(complaint(R"("name": "tiny",)", R"("name": "tiny")") == "");
  CHECK(complaint(R"("stride": 4)", R"("kernel": 50)") == "");
  CHECK(complaint(R"("out_features": 10)", R"("out_features": 7)") == "");
  CHECK(complaint(R"({"type": "global_avg_pool"},)", "") == "");
  CHECK(complaint(R"("lr": 0.1)", R"("lr": 0.1, "groups": [{"pattern": "nothing.*", "weight_decay": 0}])") == "");
  CHECK(complaint(R"("lr": 0.1, )", "") == "");
}

TEST_CASE("overrides") {
  TemporaryFolder folder;
  const std::string path = (folder.path / "exp.json").string();
  write_file(path, tiny_config());
  const auto say = [&](const std::string& override_text) {
    const CommandResult result = run_azimuth({"check", path, "--set", override_text});
    CHECK(result.exit == 2);
    return result.err;
  };
  CHECK(say("optimizer.lr=0") == "");
  CHECK(say("optimizer.rl=0.1") == "");
  CHECK(say("optimizer.lr") == "azimuth: --set optimizer.lr: expected key=value, as in --set optimizer.lr=0.05\n");
}

TEST_CASE("the command line itself") {
  const auto say = [](const std::vector<std::string>& arguments) {
    const CommandResult result = run_azimuth(arguments);
    CHECK(result.exit == 2);
    CHECK(result.out == "");
    return result.err;
  };
  CHECK(say({"trian"}) == "azimuth: unknown command \"trian\"; did you mean \"train\"?; see azimuth --help\n");
  CHECK(say({}) == "");
  CHECK(say({"train"}) == "");
  CHECK(say({"train", "x.json", "--fast"}) == "");
  CHECK(say({"train", "/nowhere/x.json"}) == "");
  CHECK(say({"resume", "/nowhere"}) == "azimuth: /nowhere is not a run folder: it has no config.json\n");
  CHECK(say({"describe", "resnt"}) == "");
  CHECK(say({"data", "get", "cifar"}) == "");
}

TEST_CASE("missing, truncated and corrupt data") {
  TemporaryFolder folder;
  const fs::path root = folder.path / "cifar";
  const std::string config = (folder.path / "exp.json").string();
  write_file(config, cifar_config(root));
  const auto say = [&] {
    const fs::path run = folder.path / "run";
    const CommandResult result = run_azimuth({"train", config, "--run", run.string()});
    CHECK(result.exit == 3);
    CHECK_FALSE(fs::exists(run));
    return result.err;
  };
  const std::string place = "azimuth: " + root.string();
  CHECK(say() == "");
  write_cifar(root);
  fs::resize_file(root / "data_batch_3.bin", 12345);
  CHECK(say() == "");
  write_cifar(root);
  {
    std::fstream file(root / "test_batch.bin", std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(3073 * 7);
    file.put(char(10));
  }
  CHECK(say() == "");
}

TEST_CASE("run folders") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string();
  write_file(config, tiny_config(R"({"epochs": 1})"));
  const std::string run = (folder.path / "run").string();
  fs::create_directories(run);
  write_file(run + "/precious", "kept");
  CommandResult result = run_azimuth({"train", config, "--run", run});
  CHECK(result.exit == 2);
  CHECK(result.err ==
        "azimuth: the run folder " + run + " exists already; choose another, or continue it with: azimuth resume " + run + "\n");
  CHECK(read_file(run + "/precious") == "kept");
  CHECK(std::distance(fs::directory_iterator(run), fs::directory_iterator()) == 1);

  result = run_azimuth({"train", config, "--run", config + "/run"});  // below a file
  CHECK(result.exit == 2);
  CHECK(result.err ==
        "azimuth: cannot make the run folder " + config + "/run: Not a directory; choose another place with --run DIR\n");
}

TEST_CASE("a training that diverges stops, says where, and keeps what was saved") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  write_file(config, tiny_config(R"({"epochs": 3, "log_every": 1})"));
  CommandResult result = run_azimuth({"train", config, "--run", run, "--set", "schedule.warmup_steps=0", "--set",
                                      "optimizer.type=sgd", "--set", "optimizer.lr=1e38"});
  CHECK(result.exit == 4);
  CHECK(result.err == "");
  const std::string log = read_file(run + "/metrics.jsonl");
  CHECK(log.find("\"loss\":null") != std::string::npos);
  CHECK(fs::exists(run + "/checkpoints/last/model.safetensors"));
}

TEST_CASE("damaged checkpoints") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  write_file(config, tiny_config(R"({"epochs": 1})"));
  REQUIRE(run_azimuth({"train", config, "--run", run}).exit == 0);
  const std::string state = run + "/checkpoints/last/state.json", model = run + "/checkpoints/last/model.safetensors";
  fs::resize_file(state, 20);
  CommandResult result = run_azimuth({"resume", run});
  CHECK(result.exit == 3);
  CHECK(result.err.find("azimuth: " + state + " is damaged: ") == 0);
  fs::resize_file(model, 100);
  result = run_azimuth({"resume", run});
  CHECK(result.exit == 3);
  CHECK(result.err.find(model) != std::string::npos);
  fs::remove_all(run + "/checkpoints");
  result = run_azimuth({"eval", run});
  CHECK(result.exit == 3);
  CHECK(result.err == "azimuth: there is no checkpoint at " + run + "/checkpoints/best\n");
}
