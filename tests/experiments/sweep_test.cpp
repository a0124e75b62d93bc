#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/base/cores.h"
#include "core/base/files.h"
#include "tests/compare.h"
#include "tests/experiments/sweep_place.h"

using namespace az;
using az::test::has;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

json last_epoch(const std::string& metrics) {
  std::istringstream lines(metrics);
  json last;
  for (std::string line; std::getline(lines, line);) {
    if (json object = json::parse(line); object["kind"] == "epoch") last = object;
  }
  return last;
}

bool wait_for(RunningCommand& command, const std::string& path) {
  return command.wait_until([&] { return fs::exists(path); });
}

// The runs of a sweep that was killed hold its folder until they have saved.
void wait_for_orphans(const std::string& runs) {
  const int folder = ::open(runs.c_str(), O_RDONLY | O_DIRECTORY);
  REQUIRE(::flock(folder, LOCK_EX) == 0);
  ::close(folder);
}

}  // namespace

TEST_CASE("a sweep trains its runs, sums them up by group, and skips what is done") {
  const SweepPlace place(R"({"name": "<s>", "base": "base.json", "grid": {"optimizer.lr": [0.1, 0.01]}, "seeds": [1, 2]})");
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

  const std::string left = place.runs + "/lr=0.1,seed=2/checkpoints/last.new";  // by a kill
  fs::create_directory(left);
  const CommandResult second = place.run({"--json"});
  CHECK(second.exit == 0);
  CHECK_FALSE(fs::exists(left));
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
  CHECK(csv.find("group,runs,done,failed,test_accuracy_mean,test_accuracy_spread,test_accuracy_best,test_accuracy_runs,") == 0);
  CHECK(has(csv, fmt::format("\r\nlr=0.1,2,2,0,{},", table["groups"][0]["test_accuracy"]["mean"].get<double>())));
  CHECK(has(html, "<h1>&lt;s&gt;</h1>"));
  CHECK(has(html, fmt::format("<td>{:.2f} ± {:.2f} %</td>", 100 * mean, 100 * spread)));

  const std::string said = json::parse(read_file(place.runs + "/lr=0.01,seed=2/environment.json"))["command"];
  CHECK(has(said, " train " + place.base + " --set optimizer.lr=0.01 --set 'name=\"lr=0.01,seed=2\"' --set seed=2 --run "));
}

TEST_CASE("a run of another config is an error, not done") {
  const SweepPlace place(R"({"base": "base.json", "seeds": [1]})");
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
  // A folder whose name looks like a KEY=VALUE behind --set is a folder.
  result =
      run_through({"sh", "-c", R"(cd "$0" && exec "$@")", place.runs}, {"resume", "--set", "train.epochs=3", "tiny,seed=1"});
  CHECK_MESSAGE(result.exit == 0, result.err);
}

TEST_CASE("a folder in a run's place that is none, or that cannot be read, fails that run alone and stays as it is") {
  const SweepPlace place(R"({"base": "base.json", "seeds": [1, 2, 3]})");
  const std::string notes = place.runs + "/tiny,seed=1/notes.txt", config = place.runs + "/tiny,seed=2/config.json";
  fs::create_directories(fs::path(notes).parent_path());
  write_file(notes, "mine");
  CommandResult result = place.run();
  INFO(result.err);
  CHECK(result.exit == 1);
  const std::string in_the_way =
      "tiny,seed=1 is in the way: it is no run with a checkpoint; remove it, or choose another folder for the sweep";
  CHECK(has(result.err, "[1/3] tiny,seed=1: FAILED, " + place.runs + "/" + in_the_way));
  CHECK(has(result.err, "[2/3] tiny,seed=2: done\n"));
  REQUIRE(has(result.err, "[3/3] tiny,seed=3: done\n"));

  write_file(config, "{");
  fs::remove_all(place.runs + "/tiny,seed=3");
  CommandResult check = place.run({"--check"});
  CHECK(check.exit == 1);
  CHECK(check.out == "tiny,seed=1  failed\ntiny,seed=2  failed\ntiny,seed=3  absent\n");
  CHECK(has(check.err, in_the_way));
  result = place.run({"--json"});
  CHECK(result.exit == 1);
  CHECK(has(result.err, "[1/3] tiny,seed=1: FAILED, "));
  CHECK(has(result.err, "[2/3] tiny,seed=2: FAILED, " + config + ":1:"));
  CHECK(has(result.err, "[3/3] tiny,seed=3: done\n"));
  const json table = json::parse(result.out);
  CHECK(table["runs"][1]["state"] == "failed");
  CHECK(has(table["runs"][1]["failure"].get<std::string>(), config + ":1:"));
  CHECK(table["groups"][0]["failed"] == 2);
  CHECK(table["groups"][0]["test_accuracy"]["runs"] == 1);
  CHECK(read_file(notes) == "mine");
  CHECK(read_file(config) == "{");
}

TEST_CASE("a sweep of which one run's metrics cannot be read still gives its table, and fails") {
  const SweepPlace place(R"({"base": "base.json", "seeds": [1, 2]})");
  REQUIRE(place.run().exit == 0);
  const std::string metrics = place.runs + "/tiny,seed=1/metrics.jsonl", whole = read_file(metrics);
  write_file(metrics, whole.substr(0, whole.rfind("{\"kind\":\"epoch\"")) + "#lost\n");  // of two epochs
  CHECK(has(place.run().err,
            "tiny,seed=1 is left out of the table: metrics unreadable: " + metrics + " has no line of the last epoch"));
  write_file(metrics, "{\"kind\":\"epoch\",\"test_accuracy\n");
  const CommandResult result = place.run();
  CHECK(result.exit == 1);
  CHECK(has(result.err, "azimuth: tiny,seed=1 is left out of the table: metrics unreadable: " + metrics + ":1:"));
  CHECK_FALSE(has(result.err, "tries them again"));
  CHECK(has(result.out, "(1 of 2)"));
  CHECK(has(read_file(place.runs + "/sweep.csv"), "\r\ntiny,2,2,0,"));
  CHECK(has(read_file(place.runs + "/sweep.html"), "metrics unreadable"));
}

TEST_CASE("a run that is killed is reported with the signal") {
  const SweepPlace place(R"({"base": "base.json", "seeds": [1], "set": {
    "train.epochs": 1000000, "train.evaluation.every_epochs": 1000000, "checkpoint.every_epochs": 1000000}})");
  const CommandResult result = run_through({"bash", "-c", R"(ulimit -c 0; ulimit -S -t 4; exec "$0" "$@")"}, place.command());
  INFO(result.err);
  CHECK(result.exit == 1);
  CHECK(has(result.err, fmt::format("FAILED, killed by signal {}; see ", SIGXCPU)));
}

TEST_CASE("a run that fails is reported with its reason, the others go on, and the sweep fails at the end") {
  // One diverges; the first checkpoint of one outgrows the limit on files.
  const SweepPlace place(R"({"base": "base.json", "seeds": [1], "variants": [{"name": "wild", "set": {"optimizer.lr": 1e37}},
    {"name": "large", "set": {"model.layers.0.out_channels": 4096}}, {"name": "tame"}]})");
  const CommandResult result =
      run_through({"bash", "-c", R"(ulimit -c 0; ulimit -f 100; exec "$0" "$@")"}, place.command({"--json"}));
  INFO(result.err);
  CHECK(result.exit == 1);
  CHECK(has(result.err, "[1/3] wild,seed=1: FAILED, exit code 4: training diverged at step"));
  CHECK(has(result.err, "[2/3] large,seed=1: FAILED, exit code 1: "));
  CHECK(has(result.err, "File too large"));
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
  const SweepPlace whole(text, train), killed(text, train);
  REQUIRE(whole.run().exit == 0);
  int kills = 0;
  for (const char* name : {"tiny,seed=1", "tiny,seed=2", "tiny,seed=3"}) {
    RunningCommand command(killed.command());
    wait_for(command, killed.runs + "/" + name + "/checkpoints/best");
    command.signal(SIGKILL);
    kills += command.wait().exit == -SIGKILL;
    wait_for_orphans(killed.runs);
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
    const SweepPlace place(R"({"base": "base.json", "seeds": [1, 2, 3]})", R"({"epochs": 100000, "threads": 1})");
    RunningCommand command(place.command({"--jobs", "2"}));
    for (const char* name : {"tiny,seed=1", "tiny,seed=2"})
      REQUIRE(wait_for(command, place.runs + "/" + name + "/checkpoints/best"));
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
  const SweepPlace place(R"({"base": "base.json", "seeds": [1, 2]})", R"({"epochs": 4})");
  const CommandResult result = run_through({"env", "OMP_NUM_THREADS=4"}, place.command({"--jobs", "2"}));
  INFO(result.err);
  CHECK(result.exit == 0);
  CHECK(has(result.err, "2 at a time with 2 threads each"));
  CHECK(result.err.find("[2/2] tiny,seed=2: starts") < result.err.find("[1/2] tiny,seed=1: done"));
  for (const char* name : {"tiny,seed=1", "tiny,seed=2"})
    CHECK(json::parse(read_file(fmt::format("{}/{}/environment.json", place.runs, name)))["threads"] == 2);

  const SweepPlace alone(R"({"base": "base.json"})", R"({"epochs": 1})");
  CHECK(run_through({"env", "OMP_NUM_THREADS=3"}, alone.command({"--jobs", "2"})).exit == 0);  // nobody to share with
  CHECK(json::parse(read_file(alone.runs + "/tiny,seed=3/environment.json"))["threads"] == 3);
}

TEST_CASE("a run has all cores where OpenMP binds the sweep itself to one") {
  if (az::cores().threads() == 1) MESSAGE("nothing to see: there is one core only");
  const SweepPlace place(R"({"base": "base.json"})", R"({"epochs": 1})");
  CHECK(run_through({"env", "-u", "OMP_NUM_THREADS", "OMP_PROC_BIND=true"}, place.command()).exit == 0);
  CHECK(json::parse(read_file(place.runs + "/tiny,seed=3/environment.json"))["threads"] == az::cores().threads());
}

TEST_CASE("a run that cannot be started is a failed one") {
  const SweepPlace place(R"({"base": "base.json", "seeds": [1, 2]})");
  const std::string log = place.runs + "/tiny,seed=1.log";
  fs::create_directories(log);
  const CommandResult result = place.run();
  CHECK(result.exit == 1);
  CHECK(has(result.err, "[1/2] tiny,seed=1: FAILED, " + log + ": cannot be written: Is a directory\n"));
  CHECK(has(result.err, "[2/2] tiny,seed=2: done\n"));
}

TEST_CASE("two sweeps do not train in one folder") {
  const SweepPlace place(R"({"base": "base.json"})", R"({"epochs": 100000, "threads": 1})");
  RunningCommand command(place.command());
  REQUIRE(wait_for(command, place.runs + "/tiny,seed=3/checkpoints/last"));
  const CommandResult second = place.run();
  CHECK(second.exit == 1);
  CHECK(has(second.err, "azimuth: another sweep is at work in " + place.runs));
  command.signal(SIGTERM);
  CHECK(command.wait().exit == 143);
}
