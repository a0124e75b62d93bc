#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "experiments/sweep/plan.h"
#include "tests/experiments/sweep_place.h"

using namespace az::experiments;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> names(const Sweep& sweep) {
  std::vector<std::string> result;
  for (const SweepRun& run : sweep.runs) result.push_back(run.name);
  return result;
}

Sweep planned(const std::string& text, const std::vector<std::string>& overrides = {}) {
  const SweepPlace place(text);
  register_builtin();
  return load_sweep(place.sweep, overrides);
}

// What is said of a sweep file that is wrong, without its folder.
std::string complaint(const std::string& text, const std::vector<std::string>& more = {}) {
  const SweepPlace place(text);
  const CommandResult result = place.run(more);
  CHECK(result.exit == 2);
  CHECK(result.out == "");
  CHECK_FALSE(fs::exists(place.runs));
  std::string said = result.err;
  for (size_t at; (at = said.find(place.folder.path.string() + "/")) != std::string::npos;)
    said.erase(at, place.folder.path.string().size() + 1);
  return said;
}

}  // namespace

TEST_CASE("a grid and seeds are spelled out in order, and each run says what is its own") {
  register_builtin();
  const SweepPlace place(R"({"name": "s", "base": "base.json", "set": {"train.epochs": 7, "optimizer.momentum": 0.8},
    "grid": {"optimizer.lr": [0.1, 0.2], "optimizer.groups": [[], [{"kind": "norm", "weight_decay": 0}]]}, "seeds": [1, 5]})");
  const Sweep sweep = load_sweep(place.sweep, {"train.epochs=9"});
  CHECK(names(sweep) == std::vector<std::string>{"lr=0.1,groups=#1,seed=1", "lr=0.1,groups=#1,seed=5",
                                                 "lr=0.1,groups=#2,seed=1", "lr=0.1,groups=#2,seed=5",
                                                 "lr=0.2,groups=#1,seed=1", "lr=0.2,groups=#1,seed=5",
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
  CHECK(complaint(R"({"base": "bse.json"})") ==
        "azimuth: sweep.json:1:10: base: bse.json is no file that can be read; is the path right? It counts from the sweep "
        "file\n");
  CHECK(complaint(R"({"variants": [{"base": 5}]})") ==
        R"(azimuth: sweep.json:1:24: variants.0.base: expected a string, got 5; put it in double quotes: "5")"
        "\n");
  CHECK(complaint(R"({"base": "base.json", "grid": {"optimizer.lr": [0.1, -1]}})") ==
        "azimuth: sweep.json:1:54: optimizer.lr: must be more than 0, got -1\n");
  CHECK(
      complaint(R"({"base": "base.json", "grid": {"optimizer.lr": 0.1}})") ==
      "azimuth: sweep.json:1:48: grid.optimizer.lr: expected a list of values to try, got 0.1; write it in brackets: [0.1]\n");
  CHECK(complaint(R"({"base": "base.json", "grid": {"optimizer.lr": []}})") ==
        "azimuth: sweep.json:1:48: grid.optimizer.lr: the list is empty; give the values to try, or remove the key\n");
  CHECK(complaint(R"({"base": "base.json", "grid": {"optimizer.lr": [0.1, 0.2, 0.10]}})") ==
        "azimuth: sweep.json:1:59: grid.optimizer.lr.2: 0.1 is in the list twice; remove it here or at sweep.json:1:49\n");
  CHECK(complaint(R"({"base": "base.json", "variants": [{"grid": {"train.epochs": [1, 1.0]}}]})") ==
        "azimuth: sweep.json:1:66: variants.0.grid.train.epochs.1: 1.0 is in the list twice; remove it here or at "
        "sweep.json:1:63\n");
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
        "azimuth: sweep.json:1:32: seeds: the list is empty; leave the key out for a run with the config's seed\n");
  CHECK(complaint(R"({"base": "base.json", "seeds": [1, 1]})") ==
        "azimuth: sweep.json:1:36: seeds.1: 1 is in the list twice; remove it here or at sweep.json:1:33\n");
  CHECK(complaint(R"({"base": "base.json", "variants": [{"name": "a"}, {"name": "b", "set": {"optimizer.lr": 0.1}}]})") ==
        "azimuth: sweep.json:1:51: variants.1: the runs \"a,seed=3\" and \"b,seed=3\" are the same but for their names\n");
  CHECK(complaint(R"({"base": "base.json", "variants": [{}, {"set": {"optimizer.lr": 0.2}}]})") ==
        "azimuth: sweep.json:1:40: variants.1: is called \"tiny\", as is one before; give it a name of its own\n");
  CHECK(complaint(R"({"base": "base.json", "variants": [{"name": "a/b"}]})")
            .find("azimuth: sweep.json:1:45: variants.0.name: must be usable as the name of a folder") == 0);
  // The last run's optimizer cannot be built: the first is not trained, either.
  CHECK(complaint(R"({"base": "base.json", "variants": [{"name": "a"},
  {"name": "b", "set": {"optimizer.groups": [{"pattern": "nothing.*", "weight_decay": 0}]}}]})")
            .find("optimizer: groups[0]: none of the 6 parameters") != std::string::npos);
  CHECK(complaint(R"({"base": "base.json"})", {"--jobs", "0"}).find("--jobs") != std::string::npos);
}

TEST_CASE("a key that is given twice, or wiped by another, is refused with both places") {
  const std::string base = R"({"base": "base.json", )";
  const auto said = [&](const std::string& rest, const std::vector<std::string>& more = {}) {
    return complaint(base + rest, more).substr(std::string("azimuth: ").size());
  };
  const std::string lr = R"("optimizer.lr": [0.1, 0.2])", all = R"("optimizer": [{"type": "sgd", "lr": 1}])";
  const std::string one = R"({"type": "sgd", "lr": 1})";
  // Within one grid, in whichever order.
  CHECK(
      said(R"("grid": {)" + lr + ", " + all + "}}") ==
      "sweep.json:1:60: grid.optimizer: replaces optimizer.lr, which is given at sweep.json:1:32, too; keep one of the two\n");
  CHECK(said(R"("grid": {)" + all + ", " + lr + "}}") ==
        "sweep.json:1:73: grid.optimizer.lr: is a part of optimizer, which is given at sweep.json:1:32, too; keep one of the "
        "two\n");
  // In the grid and in what is set.
  CHECK(said(R"("set": {"optimizer.lr": 1}, "grid": {)" + lr + "}}") ==
        "sweep.json:1:60: grid.optimizer.lr: is given at sweep.json:1:31, too; keep one of the two\n");
  CHECK(
      said(R"("grid": {)" + all + R"(}, "set": {"optimizer.lr": 1}})") ==
      "sweep.json:1:32: grid.optimizer: replaces optimizer.lr, which is given at sweep.json:1:82, too; keep one of the two\n");
  CHECK(said(R"("set": {"optimizer": )" + one + R"(}, "grid": {)" + lr + "}}") ==
        "sweep.json:1:80: grid.optimizer.lr: is a part of optimizer, which is given at sweep.json:1:31, too; keep one of the "
        "two\n");
  CHECK(said(R"("variants": [{"set": {"optimizer.lr": 1}}], "grid": {)" + lr + "}}") ==
        "sweep.json:1:76: grid.optimizer.lr: is given at sweep.json:1:45, too; keep one of the two\n");
  CHECK(said(R"("set": {"optimizer.lr": 1}, "variants": [{"grid": {)" + lr + "}}]}") ==
        "sweep.json:1:74: variants.0.grid.optimizer.lr: is given at sweep.json:1:31, too; keep one of the two\n");
  // What is set, by the sweep and by a variant.
  CHECK(said(R"("set": {"optimizer": )" + one + R"(, "optimizer.lr": 2}})") ==
        "sweep.json:1:70: set.optimizer.lr: is a part of optimizer, which is given at sweep.json:1:31, too; keep one of the "
        "two\n");
  CHECK(said(R"("set": {"optimizer.lr": 2}, "variants": [{"set": {"optimizer": )" + one + "}}]}") ==
        "sweep.json:1:73: variants.0.set.optimizer: replaces optimizer.lr, which is given at sweep.json:1:31, too; keep one of "
        "the two\n");
  // On the command line.
  CHECK(said(R"("grid": {)" + lr + "}}", {"--set", "optimizer.lr=1"}) ==
        "--set optimizer.lr: is given at sweep.json:1:32, too; keep one of the two\n");
  CHECK(said(R"("grid": {)" + lr + "}}", {"--set", "optimizer=" + one}) ==
        "--set optimizer: replaces optimizer.lr, which is given at sweep.json:1:32, too; keep one of the two\n");
  CHECK(said(R"("grid": {)" + all + "}}", {"--set", "optimizer.lr=2"}) ==
        "--set optimizer.lr: is a part of optimizer, which is given at sweep.json:1:32, too; keep one of the two\n");
  CHECK(said(R"("set": {"optimizer.lr": 1}})", {"--set", "optimizer=" + one}) ==
        "--set optimizer: replaces optimizer.lr, which is given at sweep.json:1:31, too; keep one of the two\n");
  CHECK(said(R"("seeds": [1]})", {"--set", "optimizer.lr=1", "--set", "optimizer=" + one}) ==
        "--set optimizer: replaces optimizer.lr, which is given at --set optimizer.lr, too; keep one of the two\n");

  // What refines, and what has the last word, is meant.
  const Sweep refined =
      planned(base + R"("grid": {"optimizer.lr": [0.01, 0.02]}, "variants": [{"set": {"optimizer": {"type": "adamp"}}}]})");
  CHECK(json::parse(to_json(refined.runs[1].config))["optimizer"]["lr"] == 0.02);
  const Sweep varied = planned(base + R"("set": {"optimizer.lr": 1}, "variants": [{"set": {"optimizer.lr": 2}}]})");
  CHECK(json::parse(to_json(varied.runs[0].config))["optimizer"]["lr"] == 2);
  const Sweep last = planned(base + R"("set": {"optimizer.lr": 1}})", {"optimizer.lr=3"});
  CHECK(json::parse(to_json(last.runs[0].config))["optimizer"]["lr"] == 3);
}

TEST_CASE("a grid over types whose options differ is shown to the variants") {
  const std::string said = complaint(R"({"base": "base.json", "grid": {"optimizer.type": ["sgdp", "adamp"]}})");
  CHECK(
      said.find(
          "azimuth: base.json:13:44: optimizer.momentum: unknown key of \"adamp\"; it is an option of the optimizers "
          "\"muon\", \"sgd\" and \"sgdp\"; the grid at sweep.json:1:59 keeps the other options for each type: types that differ in "
          "them are \"variants\", each with \"set\": {\"optimizer\": {\"type\": \"adamp\", ...}} (in the run "
          "type=adamp)\n") == 0);
  // What is not about those options is not, be it the type itself.
  const std::string typo = complaint(R"({"base": "base.json", "grid": {"optimizer.type": ["sgdp", "SGDQ"]}})");
  CHECK(typo.find("azimuth: sweep.json:1:59: optimizer.type: ") == 0);
  CHECK(typo.find("variants") == std::string::npos);
  CHECK(complaint(R"({"base": "base.json", "grid": {"optimizer.type": ["sgd"]}, "set": {"train.epochs": 0}})") ==
        "azimuth: sweep.json:1:84: train.epochs: must be at least 1, got 0\n");
}

TEST_CASE("what is wrong with one of the runs, and stands in the base, names the run") {
  // 60 images in batches of 59 leave one for the last, which batch norm after a flatten cannot be trained on.
  const std::string layers =
      R"("model": {"type": "network", "layers": [{"type": "flatten"}, {"type": "linear", "out_features": 10},
    {"type": "batch_norm"}]})";
  const std::string set = "\"set\": {" + layers + "}";
  const auto said = [&](const std::string& rest) { return complaint(R"({"base": "base.json", )" + rest + "}"); };
  const std::string last = said(set + R"(, "grid": {"data.batch_size": [16, 59, 30], "optimizer.lr": [0.1, 0.2]})");
  CHECK(last.starts_with("azimuth: base.json:4:11: data.drop_last: the last batch of an epoch has 1 of 60 images"));
  CHECK(last.ends_with(" (in the run batch_size=59,lr=0.1)\n"));
  const std::string classes = said(R"("grid": {"model.layers.5.out_features": [10, 5]})");
  CHECK(classes.starts_with("azimuth: base.json:5:12: model: the last layer gives [1,5]"));
  CHECK(classes.ends_with(" (in the run out_features=5)\n"));
  CHECK(
      said(
          R"("variants": [{"name": "a"}, {"name": "b", "set": {"model.layers.5.out_features": 5}, "grid": {"optimizer.lr": [1, 2]}}])")
          .ends_with(" (in the run b,lr=1)\n"));
  // What has its place in the sweep file is found there.
  CHECK(said(R"("grid": {"optimizer.lr": [0.1, -1]})") ==
        "azimuth: sweep.json:1:54: optimizer.lr: must be more than 0, got -1\n");
}

TEST_CASE("an experiment's key in a sweep file itself is told where it goes") {
  CHECK(complaint(R"({"base": "base.json", "epochs": 3})") ==
        "azimuth: sweep.json:1:23: epochs: unknown key of a sweep file; an experiment's goes into \"set\": {\"train.epochs\": "
        "...}\n");
  CHECK(complaint(R"({"base": "base.json", "variants": [{"lr": 3}]})") ==
        "azimuth: sweep.json:1:37: variants.0.lr: unknown key of a sweep file; an experiment's goes into \"set\": "
        "{\"optimizer.lr\": ...}\n");
  CHECK(complaint(R"({"base": "base.json", "optimizer": {"lr": 3}})").find("\"set\": {\"optimizer\": ...}") !=
        std::string::npos);
  CHECK(complaint(R"({"base": "base.json", "train.epochs": 3})").find("\"set\": {\"train.epochs\": ...}") != std::string::npos);
  CHECK(complaint(R"({"base": "base.json", "nonsense": 3})").find("known: ") != std::string::npos);
}

TEST_CASE("runs of one length in other words are the same but for their names") {
  // Two epochs of four steps.
  CHECK(complaint(R"({"base": "base.json", "grid": {"train.max_steps": [null, 8]}})")
            .find("the runs \"max_steps=null,seed=3\" and \"max_steps=8,seed=3\" are the same but for their names") !=
        std::string::npos);
  CHECK(planned(R"({"base": "base.json", "grid": {"train.max_steps": [null, 7]}})").runs.size() == 2);
}

TEST_CASE("a name taken from a file's has to be one of a folder, too") {
  const SweepPlace place(R"({"base": "base.json"})");
  const std::string sweep = (place.folder.path / "...json").string();
  fs::copy_file(place.sweep, sweep);
  const std::string complaint = "azimuth: " + sweep + ": name: must be usable as the name of a folder";
  CommandResult result = run_azimuth({"sweep", sweep, "--check"});
  CHECK(result.exit == 2);
  CHECK(result.err.find(complaint) == 0);
  az::write_file(sweep,
                 R"({"data": {"type": "shapes"}, "model": {"type": "cifar_resnet"}, "optimizer": {"type": "sgd", "lr": 1}})");
  result = run_azimuth({"check", sweep});
  CHECK(result.exit == 2);
  CHECK(result.err.find(complaint) == 0);
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
