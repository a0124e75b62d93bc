// A run whose config.json was edited: its weights still fit, and would be evaluated as another network or on other data.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "core/base/files.h"
#include "experiments/history.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"

using namespace az;
using namespace az::experiments;
using nlohmann::json;

TEST_CASE("an edit that resume refuses is refused by whatever evaluates the network, in the same words") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  write_file(config, tiny_config(R"({"epochs": 1})"));
  REQUIRE(run_azimuth({"train", config, "--run", run}).exit == 0);
  const std::string file = run + "/config.json", trained = read_file(file);
  const CommandResult before = run_azimuth({"eval", run, "--json"});
  const auto edit = [&](const char* place, const json& value) {
    json edited = json::parse(trained);
    edited[json::json_pointer(place)] = value;
    write_file(file, edited.dump(2));
  };

  for (const auto& [place, value] : std::vector<std::pair<const char*, json>>{{"/model/layers/0/stride", 2},
                                                                              {"/model/layers/1/eps", 1.5},
                                                                              {"/model/layers/2/type", "tanh"},
                                                                              {"/data/seed", 5},
                                                                              {"/data/test_images", 31},
                                                                              {"/data/mean", {0.5, 0.5, 0.5}}}) {
    CAPTURE(place);
    edit(place, value);
    if (std::string(place) == "/data/mean") {
      json edited = json::parse(read_file(file));
      edited["data"]["std"] = {0.5, 0.5, 0.5};
      write_file(file, edited.dump(2));
    }
    const CommandResult refused = run_azimuth({"resume", run});
    CHECK(refused.exit == 2);
    for (const char* command : {"eval", "invariance"}) {
      const CommandResult result = run_azimuth({command, run});
      CHECK(result.exit == 2);
      CHECK(result.out == "");
      CHECK(result.err == refused.err);
    }
    CHECK("azimuth: " + test::error_of([&] { load_run(run); }) + "\n" == refused.err);
  }

  // What an evaluation does not see, it does not mind; the judges of invariance run batches of the training.
  edit("/optimizer/lr", 0.2);
  CHECK(run_azimuth({"eval", run, "--json"}).out == before.out);
  CHECK_NOTHROW(load_run(run));
  CHECK(run_azimuth({"invariance", run, "--batches", "1"}).exit == 2);
  // Its config has to be one, though: Adam lacks options of SGDP's, whatever the steps were taken with.
  edit("/optimizer/type", "adam");
  const std::string unreadable = run_azimuth({"eval", run}).err;
  CHECK_MESSAGE(test::has(unreadable, ": optimizer."), unreadable);
  CHECK_MESSAGE(test::has(unreadable, ": unknown key"), unreadable);
  CHECK(
      test::has(run_azimuth({"resume", run}).err, ": optimizer.type: was \"sgdp\" in the training so far and is \"adam\" now"));
  edit("/train/evaluation/test_time_augmentation", "flip");
  CHECK(run_azimuth({"eval", run}).exit == 0);
  CHECK(run_azimuth({"invariance", run, "--batches", "1"}).exit == 0);
}
