// What a scorecard says of what the judges found.
#include "experiments/invariance/scorecard.h"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/files.h"
#include "core/config/json_document.h"
#include "core/safetensors.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"

using namespace az;
using namespace az::experiments;
using test::has;
namespace fs = std::filesystem;

TEST_CASE(
    "Where the graph finds no proof and the other judges contradict it, the words say so, with the rate of the view that "
    "fired") {
  const ScaleDependence broken{
      .kind = ScaleDependence::Kind::broken, .op = "conv2d", .scope = "1", .reason = "comes after a shift"};
  Judged one;
  one.by_channel = one.by_layer = broken;
  one.norm = one.gradient_norm = 1, one.loss = 2;
  one.losses = one.channel_losses = {{0.5, 2}, {2, 2}, {10, 2}};
  one.layer_cosines = {0.05};
  one.channel_hit_rate = 1, one.layer_hit_rate = 0.25;
  CHECK(has(words(one), "The graph cannot show it to be invariant: conv2d in 1 comes after a shift; "));
  CHECK(has(words(one), "numbers take it for invariant at these weights"));
  CHECK(has(words(one), "SGDP's rule takes it for invariant: it holds for every channel in 100 % of the batches"));
  one.channel_hit_rate = 0.2, one.layer_hit_rate = 0.75;
  CHECK(has(words(one), "The graph cannot show it"));
  CHECK(has(words(one), "SGDP's rule takes it for invariant: it holds in 75 % of the batches"));
  one.layer_hit_rate = 0.25;
  CHECK(has(words(one), "Its length matters: conv2d in 1 comes after a shift; "));
  CHECK(has(words(one), "SGDP's rule agrees: it holds in 25 % of the batches"));
}

TEST_CASE("More batches than an epoch has are drawn anew from the epochs after it") {
  register_builtin();
  const auto config = config::parse<ExperimentConfig>(config::parse_text(tiny_config(), "exp.json"));
  const Scorecard scorecard = judge_config(config, 8);  // of 4 an epoch
  const auto& cosines = scorecard.parameters.at(0).layer_cosines;
  REQUIRE(cosines.size() == 8);
  for (size_t i = 0; i < 8; ++i) {
    for (size_t k = 0; k < i; ++k) CHECK(cosines[i] != cosines[k]);
  }
}

TEST_CASE("azimuth invariance: fresh weights of a config, those of a run, and what it cannot judge") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  write_file(config, tiny_config(R"({"epochs": 1})"));
  const CommandResult fresh = run_azimuth({"invariance", config, "--batches", "3"});
  CHECK(fresh.exit == 0);
  CHECK(has(fresh.out, "0.weight"));
  CHECK(has(fresh.out, "batch_norm_relu in 1 takes out the length of each channel"));

  CHECK(run_azimuth({"invariance", folder.path.string()}).err ==
        "azimuth: " + folder.path.string() + " is not a run folder: it has no config.json\n");
  REQUIRE(run_azimuth({"train", config, "--run", run}).exit == 0);
  const CommandResult trained = run_azimuth({"invariance", run, "--json"});
  CHECK(trained.exit == 0);
  CHECK(trained.out == read_file(run + "/invariance.json"));
  const auto json = nlohmann::json::parse(trained.out);
  CHECK(json.at("checkpoint") == "last");
  CHECK(json.at("batches") == 16);
  REQUIRE(json.at("parameters").size() == 6);
  const auto& weight = json.at("parameters")[0];
  CHECK(weight.at("name") == "0.weight");
  CHECK(weight.at("shape") == std::vector<int>{8, 3, 3, 3});
  CHECK(weight.at("structure") == "channel");
  CHECK(weight.at("verdict") == "channel");
  CHECK(weight.at("hit_rate").at("channel") == 1.0);
  for (const auto& at : weight.at("scaled"))
    CHECK(at.at("loss").get<double>() == doctest::Approx(weight.at("loss").get<double>()).epsilon(1e-3));
  CHECK(json.at("parameters")[1].at("hit_rate").at("layer").is_null());  // of one dimension

  const CommandResult set = run_azimuth({"invariance", run, "--set", "seed=1"});
  CHECK(set.exit == 2);
  CHECK(has(set.err, "--set: a run has its config already"));
  fs::remove_all(run + "/checkpoints/best");
  const CommandResult missing = run_azimuth({"invariance", run, "--checkpoint", "best"});
  CHECK(missing.exit == 3);
  CHECK(has(missing.err, "there is no checkpoint at"));

  fs::create_directory(run + "/invariance.json.d");
  fs::remove(run + "/invariance.json");
  fs::rename(run + "/invariance.json.d", run + "/invariance.json");  // a folder, which no file can replace
  const CommandResult unwritable = run_azimuth({"invariance", run});
  CHECK(unwritable.exit == 1);
  CHECK(has(unwritable.out, "0.weight"));  // what was found is not lost
  CHECK(has(unwritable.err, "invariance.json: cannot be written"));

  const std::string weights = run + "/checkpoints/last/model.safetensors";
  SafeTensors model = read_safetensors(weights);
  model.tensors.at("0.weight").fill_(NAN);
  write_safetensors(weights, model);
  const CommandResult nan = run_azimuth({"invariance", run});
  CHECK(nan.exit == 4);
  CHECK(has(nan.err, "the first number that is not finite is in 0.weight"));
  write_file(config, "no JSON");
  CHECK(run_azimuth({"invariance", config}).exit == 2);
  CHECK(run_azimuth({"invariance", (folder.path / "nowhere").string()}).exit == 2);
}
