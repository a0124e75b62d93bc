// Runs are used from other folders than the one where they were trained, and are moved.
#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/files.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/zero_cifar.h"

using az::read_file;
using az::write_file;
using az::test::has;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// Two folders: one with a config whose data lies in a folder beside it, one with nothing.
struct Folders {
  Folders() {
    fs::create_directories(elsewhere);
    write_zero_cifar(home / "cifar");
    write_file((home / "exp.json").string(),
               R"({"name": "one", "data": {"type": "cifar10", "root": "cifar", "subset": 32, "batch_size": 16},
      "model": {"type": "network", "layers": [{"type": "global_avg_pool"}, {"type": "linear", "out_features": 10}]},
      "optimizer": {"type": "sgd", "lr": 0.1}, "train": {"epochs": 1, "evaluation": {"every_epochs": 9}}})");
    write_file((home / "sweep.json").string(), R"({"name": "s", "base": "exp.json", "seeds": [1, 2]})");
    fs::current_path(home);
  }
  ~Folders() { fs::current_path(before); }

  fs::path before = fs::current_path();
  TemporaryFolder folder;
  fs::path home = folder.path / "home", elsewhere = folder.path / "elsewhere";
};

json config_of(const fs::path& run) { return json::parse(read_file((run / "config.json").string())); }

}  // namespace

TEST_CASE("a run whose data was given by a relative path is used from any folder, and after it was moved") {
  const Folders at;
  const std::string cifar = (at.home / "cifar").string();
  REQUIRE(run_azimuth({"train", "exp.json"}).exit == 0);
  fs::path run = at.home / "runs" / "one";
  CHECK(config_of(run)["data"]["root"] == cifar);
  CHECK(json::parse(read_file((run / "environment.json").string()))["folder"] == at.home.string());

  fs::current_path(at.elsewhere);
  fs::rename(run, at.elsewhere / "moved");
  run = at.elsewhere / "moved";
  CHECK(run_azimuth({"eval", "moved"}).exit == 0);
  CHECK(run_azimuth({"resume", "../elsewhere/moved/", "--set", "train.epochs=2"}).exit == 0);
  CHECK(run_azimuth({"invariance", run.string(), "--batches", "1"}).exit == 0);
  CHECK(run_azimuth({"report", "moved"}).exit == 0);

  // The data moves, too: the message says where it was looked for, and resuming takes another place.
  fs::rename(at.home / "cifar", at.folder.path / "data");
  const std::string nowhere = ": cannot read " + cifar + "/data_batch_1.bin: No such file or directory";
  for (const char* command : {"eval", "resume"}) {
    const CommandResult result = run_azimuth({command, "moved"});
    CHECK(result.exit == 3);
    CHECK_MESSAGE(has(result.err, nowhere), result.err);
  }
  const std::string data = (at.folder.path / "data").string();
  const CommandResult resumed = run_azimuth({"resume", "moved", "--set", "data.root=../data", "--set", "train.epochs=3"});
  CHECK(resumed.exit == 0);
  CHECK(has(resumed.err, "azimuth: note: data.root was \"" + cifar + "\" and is \"" + data + "\" now\n"));
  CHECK(config_of(run)["data"]["root"] == data);
  fs::current_path(at.home);
  CHECK(run_azimuth({"eval", run.string()}).exit == 0);

  // A path that an older version left relative.
  json old = config_of(run);
  old["data"]["root"] = "cifar";
  write_file((run / "config.json").string(), old.dump());
  fs::current_path(at.elsewhere);
  CHECK(has(run_azimuth({"eval", "moved"}).err, "cannot read " + (at.elsewhere / "cifar" / "data_batch_1.bin").string()));
}

TEST_CASE("what is not there is named from the root on") {
  const Folders at;
  const std::string here = at.home.string();
  CHECK(run_azimuth({"resume", "no/run"}).err == "azimuth: " + here + "/no/run is not a run folder: it has no config.json\n");
  CHECK(has(run_azimuth({"report", "no/run"}).err, "azimuth: " + here + "/no/run is not there"));
  fs::create_directories("empty");
  CHECK(has(run_azimuth({"report", "empty"}).err, "azimuth: " + here + "/empty is not a run folder"));
  fs::copy("exp.json", "empty/config.json");
  CHECK(has(run_azimuth({"resume", "empty"}).err, "azimuth: there is no checkpoint at " + here + "/empty/checkpoints/last;"));
  write_file("sweep.json", R"({"base": "../no.json"})");
  CHECK(has(run_azimuth({"sweep", "sweep.json", "--check"}).err,
            (at.folder.path / "no.json").string() + " is no file that can be read"));
}

TEST_CASE("a sweep goes on from another folder: a run that was begun keeps its own path, and means the same") {
  const Folders at;
  REQUIRE(run_azimuth({"sweep", "sweep.json"}).exit == 0);
  fs::current_path(at.elsewhere);
  const std::vector<std::string> again = {"sweep", (at.home / "sweep.json").string(), "--folder",
                                          (at.home / "runs" / "s").string()};
  std::vector<std::string> check = again;
  check.push_back("--check");
  CHECK(run_azimuth(check).out == "one,seed=1  done\none,seed=2  done\n");
  CHECK(run_azimuth(again).exit == 0);
  // One in another place has another meaning all the same.
  CHECK(has(run_azimuth({"sweep", again[1], "--folder", again[3], "--set", "data.batch_size=8"}).err,
            "data.batch_size 16, now 8"));
}
