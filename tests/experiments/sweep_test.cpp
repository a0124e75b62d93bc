#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "core/backend/cores.h"
#include "core/error.h"
#include "experiments/files.h"
#include "experiments/sweep/plan.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"

using namespace az::experiments;
using az::test::has;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// A folder with the base config and a sweep of it.
struct Place {
  explicit Place(const std::string& sweep_text,
                 const std::string& train = R"({"epochs": 2, "threads": 1, "deterministic": true})") {
    write_file(base, tiny_config(train));
    write_file(sweep, sweep_text);
  }
  CommandResult run(std::vector<std::string> more = {}) const { return run_azimuth(command(std::move(more))); }
  std::vector<std::string> command(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"sweep", sweep, "--folder", runs});
    return more;
  }
  std::string metrics(const std::string& run) const { return read_file(runs + "/" + run + "/metrics.jsonl"); }

  TemporaryFolder folder;
  std::string base = (folder.path / "base.json").string(), sweep = (folder.path / "sweep.json").string();
  std::string runs = (folder.path / "runs").string();
};

std::vector<std::string> names(const Sweep& sweep) {
  std::vector<std::string> result;
  for (const SweepRun& run : sweep.runs) result.push_back(run.name);
  return result;
}

Sweep planned(const std::string& text, const std::vector<std::string>& overrides = {}) {
  const Place place(text);
  register_builtin();
  return load_sweep(place.sweep, overrides);
}

// What is said of a sweep file that is wrong, without its folder.
std::string complaint(const std::string& text, const std::vector<std::string>& more = {}) {
  const Place place(text);
  const CommandResult result = place.run(more);
  CHECK(result.exit == 2);
  CHECK(result.out == "");
  CHECK_FALSE(fs::exists(place.runs));
  std::string said = result.err;
  for (size_t at; (at = said.find(place.folder.path.string() + "/")) != std::string::npos;)
    said.erase(at, place.folder.path.string().size() + 1);
  return said;
}

json last_epoch(const std::string& metrics) {
  std::istringstream lines(metrics);
  json last;
  for (std::string line; std::getline(lines, line);) {
    if (json object = json::parse(line); object["kind"] == "epoch") last = object;
  }
  return last;
}

void wait_for(const std::string& path) {
  for (int i = 0; i < 6000 && !fs::exists(path); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

}  // namespace

TEST_CASE("a grid and seeds are spelled out in order, and each run says what is its own") {
  register_builtin();
  const Place place(R"({"name": "s", "base": "base.json", "set": {"train.epochs": 7, "optimizer.momentum": 0.8},
    "grid": {"optimizer.lr": [0.1, 0.2], "optimizer.groups": [[], [{"kind": "norm", "weight_decay": 0}]]}, "seeds": [1, 5]})");
  const Sweep sweep = load_sweep(place.sweep, {"train.epochs=9"});
  CHECK(names(sweep) == std::vector<std::string>{"lr=0.1,groups=#1,seed=1", "lr=0.1,groups=#1,seed=5", "lr=0.1,groups=#2,seed=1",
                                                 "lr=0.1,groups=#2,seed=5", "lr=0.2,groups=#1,seed=1", "lr=0.2,groups=#1,seed=5",
                                                 "lr=0.2,groups=#2,seed=1", "lr=0.2,groups=#2,seed=5"});
  const SweepRun& run = sweep.runs[7];
  CHECK(run.group == "lr=0.2,groups=#2");
  const json config = json::parse(to_json(run.config));
  CHECK(config["name"] == run.name);
  CHECK(config["seed"] == 5);
  CHECK(config["optimizer"]["lr"] == 0.2);
  CHECK(config["optimizer"]["momentum"] == 0.8);
  CHECK(config["optimizer"]["groups"][0]["kind"] == "norm");
  CHECK(config["train"]["epochs"] == 9);  // the command line has the last word
  // What the run's own command says comes to the same.
  CHECK(to_json(load_config(run.base, run.overrides)) == to_json(run.config));
}

TEST_CASE("variants have bases, settings, grids and seeds of their own, and the sweep's for the rest") {
  const Sweep sweep = planned(R"({"base": "base.json", "grid": {"optimizer.lr": [0.1, 0.2]}, "seeds": [1, 2], "variants": [
    {"name": "a", "set": {"optimizer.weight_decay": 0}},
    {"name": "b", "grid": {}, "seeds": [4]},
    {"set": {"optimizer": {"type": "adamp"}}, "grid": {"optimizer.lr": [0.001], "schedule.type": ["cosine", "constant"]}, "seeds": [3]}]})");
  CHECK(names(sweep) == std::vector<std::string>{"a,lr=0.1,seed=1", "a,lr=0.1,seed=2", "a,lr=0.2,seed=1", "a,lr=0.2,seed=2",
                                                 "b,seed=4", "tiny,lr=0.001,type=cosine,seed=3",
                                                 "tiny,lr=0.001,type=constant,seed=3"});
  CHECK(sweep.name == "sweep");
  CHECK(json::parse(to_json(sweep.runs[6].config))["optimizer"]["type"] == "adamp");
  // Keys that end alike are written out.
  CHECK(names(planned(R"({"base": "base.json", "grid": {"optimizer.type": ["sgdp"], "schedule.type": ["constant"]}})")) ==
        std::vector<std::string>{"optimizer.type=sgdp,schedule.type=constant,seed=3"});
  CHECK(names(planned(R"({"base": "base.json"})")) == std::vector<std::string>{"tiny,seed=3"});
}

TEST_CASE("sweep files that are wrong are refused with their place before anything is trained") {
  CHECK(complaint(R"({"base": "base.json", "seads": [1]})") ==
        "azimuth: sweep.json:1:23: seads: unknown key; did you mean \"seeds\"?\n");
  CHECK(complaint(R"({"seeds": [1]})") ==
        "azimuth: sweep.json:1:1: base: required key is missing: the config that the runs vary\n");
  CHECK(
      complaint(R"({"base": "bse.json"})") ==
      "azimuth: sweep.json:1:10: base: bse.json is no file that can be read; is the path right? It counts from the sweep file\n");
  CHECK(complaint(R"({"variants": [{"base": 5}]})") == "azimuth: sweep.json:1:24: variants.0.base: expected a string, got 5\n");
  CHECK(complaint(R"({"base": "base.json", "grid": {"optimizer.lr": [0.1, -1]}})") ==
        "azimuth: sweep.json:1:54: optimizer.lr: must be more than 0, got -1\n");
  CHECK(complaint(R"({"base": "base.json", "grid": {"optimizer.lr": 0.1}})") ==
        "azimuth: sweep.json:1:48: grid.optimizer.lr: expected a list of values to try, got 0.1\n");
  CHECK(complaint(R"({"base": "base.json", "grid": {"optimizer.lr": []}})") ==
        "azimuth: sweep.json:1:48: grid.optimizer.lr: expected a list of values to try, got a list\n");
  CHECK(complaint(R"({"base": "base.json", "set": {"optimizer.learning": 0.1}})")
            .find("azimuth: sweep.json:1:31: optimizer.learning: unknown key") == 0);
  CHECK(complaint(R"({"base": "base.json", "set": {"train.epochs.x": 1}})") ==
        "azimuth: sweep.json:1:31: train.epochs.x: train.epochs is 2, not an object\n");
  CHECK(complaint(R"({"base": "base.json", "set": {"seed": 1}})") ==
        "azimuth: sweep.json:1:31: set.seed: a sweep lists the seeds of its runs in \"seeds\"\n");
  CHECK(complaint(R"({"base": "base.json"})", {"--set", "seed=1"}) ==
        "azimuth: --set seed=1: a sweep gives its runs their seeds and names\n");
  CHECK(complaint(R"({"base": "base.json"})", {"--set", "optimizer.lr=fast"}) ==
        "azimuth: --set optimizer.lr: expected a number, got \"fast\"\n");
  CHECK(complaint(R"({"base": "base.json", "seeds": []})") ==
        "azimuth: sweep.json:1:1: seeds: is empty; leave it out for a run with the config's seed\n");
  CHECK(complaint(R"({"base": "base.json", "seeds": [1, 1]})") ==
        "azimuth: sweep.json:1:1: the runs \"tiny,seed=1\" and \"tiny,seed=1\" are the same but for their names\n");
  CHECK(complaint(R"({"base": "base.json", "variants": [{"name": "a"}, {"name": "b", "set": {"optimizer.lr": 0.1}}]})") ==
        "azimuth: sweep.json:1:51: variants.1: the runs \"a,seed=3\" and \"b,seed=3\" are the same but for their names\n");
  CHECK(complaint(R"({"base": "base.json", "variants": [{}, {"set": {"optimizer.lr": 0.2}}]})") ==
        "azimuth: sweep.json:1:40: variants.1: is called \"tiny\", as is one before; give it a name of its own\n");
  CHECK(complaint(R"({"base": "base.json", "variants": [{"name": "a/b"}]})")
            .find("azimuth: sweep.json:1:36: name: must be usable as the name of a folder") == 0);
  // The last run's optimizer cannot be built: the first is not trained, either.
  CHECK(complaint(R"({"base": "base.json", "variants": [{"name": "a"},
  {"name": "b", "set": {"optimizer.groups": [{"pattern": "nothing.*", "weight_decay": 0}]}}]})")
            .find("optimizer: groups[0]: none of the 6 parameters") != std::string::npos);
  CHECK(complaint(R"({"base": "base.json"})", {"--jobs", "0"}).find("--jobs") != std::string::npos);
}

TEST_CASE("every shipped sweep is valid") {
  register_builtin();
  int count = 0;
  for (const char* folder : {"experiments/configs", "experiments/results"}) {
    for (const auto& file : fs::recursive_directory_iterator(folder)) {
      const bool result = folder == std::string("experiments/results") && file.path().extension() == ".json";
      if (!result && !file.path().string().ends_with("_sweep.json")) continue;
      CAPTURE(file.path().string());
      CHECK_NOTHROW(load_sweep(file.path().string()));
      ++count;
    }
  }
  CHECK(count >= 2);
}

TEST_CASE("a sweep trains its runs, sums them up by group, and skips what is done") {
  const Place place(R"({"name": "<s>", "base": "base.json", "grid": {"optimizer.lr": [0.1, 0.01]}, "seeds": [1, 2]})");
  const CommandResult first = place.run();
  INFO(first.err);
  REQUIRE(first.exit == 0);
  std::vector<double> accuracies;
  std::map<std::string, std::string> metrics;
  for (const char* name : {"lr=0.1,seed=1", "lr=0.1,seed=2", "lr=0.01,seed=1", "lr=0.01,seed=2"}) {
    metrics[name] = place.metrics(name);
    CHECK(last_epoch(metrics[name])["epoch"] == 2);
    accuracies.push_back(last_epoch(metrics[name])["test_accuracy"]);
    CHECK(has(first.err, std::string(name) + ": epoch 2/2  lr "));
    CHECK(has(first.err, std::string(name) + ": done\n"));
  }

  const CommandResult second = place.run({"--json"});
  CHECK(second.exit == 0);
  CHECK(has(second.err, "sweep <s>: 4 runs, 4 done, 0 unfinished;"));
  CHECK_FALSE(has(second.err, "starts"));
  for (const auto& [name, text] : metrics) CHECK(place.metrics(name) == text);
  const json table = json::parse(second.out);
  REQUIRE(table["groups"].size() == 2);
  CHECK(table["runs"].size() == 4);
  for (size_t i : {0, 1}) {
    const json& group = table["groups"][i];
    const double a = accuracies[2 * i], b = accuracies[2 * i + 1];
    CHECK(group["done"] == 2);
    CHECK(group["test_accuracy"]["mean"].get<double>() == doctest::Approx((a + b) / 2));
    CHECK(group["test_accuracy"]["spread"].get<double>() == doctest::Approx(std::abs(a - b) / std::sqrt(2.0)));
    CHECK(group["test_accuracy"]["best"] == std::max(a, b));
  }
  CHECK(table["groups"][1]["group"] == "lr=0.01");
  CHECK(table["runs"][3]["test_accuracy"] == accuracies[3]);

  const double mean = (accuracies[0] + accuracies[1]) / 2, spread = std::abs(accuracies[0] - accuracies[1]) / std::sqrt(2.0);
  CHECK(has(first.out, fmt::format("{:.2f} ± {:.2f} %", 100 * mean, 100 * spread)));
  CHECK(has(first.out, "lr=0.1    2/2"));
  const std::string csv = read_file(place.runs + "/sweep.csv"), html = read_file(place.runs + "/sweep.html");
  CHECK(csv.find("group,runs,done,failed,test_accuracy_mean,test_accuracy_spread,test_accuracy_best,train_loss_mean") == 0);
  CHECK(has(csv, fmt::format("\r\nlr=0.1,2,2,0,{},", table["groups"][0]["test_accuracy"]["mean"].get<double>())));
  CHECK(has(html, "<h1>&lt;s&gt;</h1>"));
  CHECK(has(html, fmt::format("<td>{:.2f} ± {:.2f} %</td>", 100 * mean, 100 * spread)));

  const std::string said = json::parse(read_file(place.runs + "/lr=0.01,seed=2/environment.json"))["command"];
  CHECK(has(said, " train " + place.base + " --set optimizer.lr=0.01 --set 'name=\"lr=0.01,seed=2\"' --set seed=2 --run "));
}

TEST_CASE("a run of another config is an error, not done") {
  const Place place(R"({"base": "base.json", "seeds": [1]})");
  REQUIRE(place.run().exit == 0);
  const std::string metrics = place.metrics("tiny,seed=1");
  CommandResult result = place.run({"--set", "optimizer.lr=0.2"});
  CHECK(result.exit == 2);
  CHECK(result.err == "azimuth: " + place.runs +
                          "/tiny,seed=1 was trained with another config: optimizer.lr 0.1, now 0.2; remove it, " +
                          "or choose another folder for the sweep with --folder DIR\n");
  result = place.run({"--set", R"(optimizer={"type": "sgd", "lr": 0.1})"});
  CHECK(result.exit == 2);
  CHECK(has(result.err, "another config: optimizer.type \"sgdp\", now \"sgd\";"));
  CHECK(place.run({"--set", "description=only words"}).exit == 0);
  CHECK(place.metrics("tiny,seed=1") == metrics);
  fs::remove_all(place.runs + "/tiny,seed=1/checkpoints");
  result = place.run();
  CHECK(result.exit == 2);
  CHECK(has(result.err, "/tiny,seed=1 is in the way: it is no run with a checkpoint; remove it, or"));
  CHECK(place.metrics("tiny,seed=1") == metrics);
}

TEST_CASE("a run that fails is reported with its reason, the others go on, and the sweep fails at the end") {
  // One diverges; one is killed as its first checkpoint outgrows the limit on files.
  const Place place(R"({"base": "base.json", "seeds": [1], "variants": [{"name": "wild", "set": {"optimizer.lr": 1e37}},
    {"name": "large", "set": {"model.layers.0.out_channels": 4096}}, {"name": "tame"}]})");
  const CommandResult result =
      run_through({"bash", "-c", R"(ulimit -c 0; ulimit -f 100; exec "$0" "$@")"}, place.command({"--json"}));
  INFO(result.err);
  CHECK(result.exit == 1);
  CHECK(has(result.err, "[1/3] wild,seed=1: FAILED, exit code 4: training diverged at step"));
  CHECK(has(result.err, "[2/3] large,seed=1: FAILED, killed by signal 25; see "));
  CHECK(has(result.err, "[3/3] tame,seed=1: done"));
  const json table = json::parse(result.out);
  CHECK(table["runs"][0]["state"] == "failed");
  CHECK(has(table["runs"][0]["failure"].get<std::string>(), "diverged"));
  CHECK(table["runs"][2]["state"] == "done");
  CHECK(table["groups"][0]["failed"] == 1);
  CHECK_FALSE(table["groups"][0].contains("test_accuracy"));
  CHECK(has(read_file(place.runs + "/sweep.html"), "<li>wild,seed=1: exit code 4: training"));
  CHECK(has(read_file(place.runs + "/wild,seed=1.log"), "training diverged"));

  const CommandResult again = place.run();  // without the limit the second one can be trained
  CHECK(again.exit == 1);
  CHECK(has(again.err, "[2/3] large,seed=1: done"));
  CHECK_FALSE(has(again.err, "[3/3] tame"));
}

TEST_CASE("a sweep that was killed goes on, to the same bits as one left alone") {
  const std::string text = R"({"base": "base.json", "seeds": [1, 2, 3]})",
                    train = R"({"epochs": 30, "threads": 1, "deterministic": true})";
  const Place whole(text, train), killed(text, train);
  REQUIRE(whole.run().exit == 0);
  int kills = 0;
  for (const char* name : {"tiny,seed=1", "tiny,seed=2", "tiny,seed=3"}) {
    RunningCommand command(killed.command());
    wait_for(killed.runs + "/" + name + "/checkpoints/best");
    command.signal(SIGKILL);
    kills += command.wait().exit == -SIGKILL;
  }
  CHECK(kills > 0);
  const CommandResult rest = killed.run();
  INFO(rest.err);
  CHECK(rest.exit == 0);
  for (const char* name : {"tiny,seed=1", "tiny,seed=2", "tiny,seed=3"}) {
    const std::string file = fmt::format("/{}/checkpoints/last/model.safetensors", name);
    CHECK(read_file(killed.runs + file) == read_file(whole.runs + file));
  }
}

TEST_CASE("signals reach the runs, which save; the sweep leaves with 130 or 143, and goes on later") {
  for (const auto& [number, code] : {std::pair{SIGINT, 130}, std::pair{SIGTERM, 143}}) {
    const Place place(R"({"base": "base.json", "seeds": [1, 2, 3]})", R"({"epochs": 100000, "threads": 1})");
    RunningCommand command(place.command({"--jobs", "2"}));
    for (const char* name : {"tiny,seed=1", "tiny,seed=2"}) wait_for(place.runs + "/" + name + "/checkpoints/best");
    command.signal(number);
    const CommandResult result = command.wait();
    CHECK(result.exit == code);
    CHECK(has(result.err, "stopped; the same command goes on from here"));
    CHECK_FALSE(has(result.err, "FAILED"));
    for (const char* name : {"tiny,seed=1", "tiny,seed=2"}) {
      CHECK(has(read_file(fmt::format("{}/{}.log", place.runs, name)), "saved; continue with: azimuth resume"));
      CHECK(json::parse(read_file(fmt::format("{}/{}/checkpoints/last/state.json", place.runs, name)))["step"] > 0);
    }
    CHECK_FALSE(fs::exists(place.runs + "/tiny,seed=3"));
    const CommandResult standing = place.run({"--check"});
    CHECK(standing.out == "tiny,seed=1  unfinished\ntiny,seed=2  unfinished\ntiny,seed=3  absent\n");
  }
}

TEST_CASE("runs at the same time share the cores") {
  const Place place(R"({"base": "base.json", "seeds": [1, 2]})", R"({"epochs": 4})");
  const CommandResult result = run_through({"env", "OMP_NUM_THREADS=4"}, place.command({"--jobs", "2"}));
  INFO(result.err);
  CHECK(result.exit == 0);
  CHECK(has(result.err, "2 at a time with 2 threads each"));
  CHECK(result.err.find("[2/2] tiny,seed=2: starts") < result.err.find("[1/2] tiny,seed=1: done"));
  for (const char* name : {"tiny,seed=1", "tiny,seed=2"})
    CHECK(json::parse(read_file(fmt::format("{}/{}/environment.json", place.runs, name)))["threads"] == 2);

  const Place alone(R"({"base": "base.json"})", R"({"epochs": 1})");
  CHECK(run_through({"env", "OMP_NUM_THREADS=3"}, alone.command({"--jobs", "2"})).exit == 0);  // nobody to share with
  CHECK(json::parse(read_file(alone.runs + "/tiny,seed=3/environment.json"))["threads"] == 3);
}

TEST_CASE("a run has all cores where OpenMP binds the sweep itself to one") {
  if (az::cores().threads() == 1) MESSAGE("nothing to see: there is one core only");
  const Place place(R"({"base": "base.json"})", R"({"epochs": 1})");
  CHECK(run_through({"env", "-u", "OMP_NUM_THREADS", "OMP_PROC_BIND=true"}, place.command()).exit == 0);
  CHECK(json::parse(read_file(place.runs + "/tiny,seed=3/environment.json"))["threads"] == az::cores().threads());
}

TEST_CASE("a run that cannot be started is a failed one") {
  const Place place(R"({"base": "base.json", "seeds": [1, 2]})");
  const std::string log = place.runs + "/tiny,seed=1.log";
  fs::create_directories(log);
  const CommandResult result = place.run();
  CHECK(result.exit == 1);
  CHECK(has(result.err, "[1/2] tiny,seed=1: FAILED, cannot write " + log + ": Is a directory\n"));
  CHECK(has(result.err, "[2/2] tiny,seed=2: done\n"));
}

TEST_CASE("two sweeps do not train in one folder") {
  const Place place(R"({"base": "base.json"})", R"({"epochs": 100000, "threads": 1})");
  RunningCommand command(place.command());
  wait_for(place.runs + "/tiny,seed=3/checkpoints/last");
  const CommandResult second = place.run();
  CHECK(second.exit == 1);
  CHECK(has(second.err, "azimuth: another sweep is at work in " + place.runs));
  command.signal(SIGTERM);
  CHECK(command.wait().exit == 143);
}
