// What can be known before the first step is refused, or noted, before the first step: in the same words by every command.
#include "experiments/preflight.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "core/base/files.h"
#include "core/base/random.h"
#include "core/config/json_document.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"

using namespace az;
using namespace az::experiments;
namespace fs = std::filesystem;

namespace {

using Overrides = std::vector<std::string>;

// The tiny network with its batch norm after the pooling, where a batch of one has one value a channel; four full batches of 16
// and a last one of the given size.
std::string pooled_config(int64_t last) {
  std::string text = tiny_config(R"({"epochs": 1, "deterministic": true})");
  const auto replace = [&](const std::string& from, const std::string& to) { text.replace(text.find(from), from.size(), to); };
  replace(R"({"type": "batch_norm"},)", "");
  replace(R"({"type": "global_avg_pool"},)", R"({"type": "global_avg_pool"}, {"type": "batch_norm"},)");
  replace(R"("train_images": 60)", R"("train_images": )" + std::to_string(64 + last));
  return text;
}

// What a command says of a config, without the folder that it lies in.
class Place {
 public:
  explicit Place(const std::string& text) { write_file(config, text); }

  CommandResult run(std::vector<std::string> command, const Overrides& overrides = {}) const {
    for (const std::string& text : overrides) command.insert(command.end(), {"--set", text});
    CommandResult result = run_azimuth(command);
    for (size_t at; (at = result.err.find(folder.path.string() + "/")) != std::string::npos;)
      result.err.erase(at, folder.path.string().size() + 1);
    return result;
  }
  CommandResult check(const Overrides& overrides = {}) const { return run({"check", config}, overrides); }
  CommandResult train(const Overrides& overrides = {}) const {
    return run({"train", config, "--run", runs + "/run"}, overrides);
  }
  CommandResult check_sweep(const Overrides& overrides = {}) const {
    write_file(sweep, R"({"base": "exp.json"})");
    return run({"sweep", sweep, "--check", "--folder", runs}, overrides);
  }

  TemporaryFolder folder;
  std::string config = (folder.path / "exp.json").string(), sweep = (folder.path / "sweep.json").string();
  std::string runs = (folder.path / "runs").string();
};

// The one line that `check` refuses a config with.
std::string refusal(const std::string& text, const Overrides& overrides = {}) {
  const CommandResult result = Place(text).check(overrides);
  CHECK(result.exit == 2);
  CHECK(result.out == "");
  return result.err;
}

// The notes that it accepts one with.
std::string notes(const std::string& text, const Overrides& overrides = {}) {
  const CommandResult result = Place(text).check(overrides);
  INFO(result.err);
  CHECK(result.exit == 0);
  const size_t end = result.err.find("exp.json: ok");
  REQUIRE(end != std::string::npos);
  return result.err.substr(0, end);
}

std::string note(const std::string& sentence) { return "azimuth: note: " + sentence + "\n"; }

ExperimentConfig parsed(const std::string& text) {
  register_builtin();
  return config::parse<ExperimentConfig>(config::parse_text(text, "exp.json"));
}

}  // namespace

TEST_CASE("a last batch that cannot be trained on is refused by every command, in the same words, before anything is made") {
  const Place place(pooled_config(1));
  const std::string line =
      "azimuth: exp.json:4:11: data.drop_last: the last batch of an epoch has 1 of 65 images, and the network cannot be "
      "trained "
      "on "
      "that: 3: batch_norm: needs more than one value a channel to take statistics over, got input [1,8]; set it to true, or "
      "choose a batch_size that leaves more\n";
  for (const std::vector<std::string>& command : {std::vector<std::string>{"check", place.config},
                                                  {"train", place.config, "--run", place.runs},
                                                  {"bench", place.config},
                                                  {"invariance", place.config}}) {
    CAPTURE(command[0]);
    const CommandResult result = place.run(command);
    CHECK(result.exit == 2);
    CHECK(result.err == line);
    CHECK(result.out == "");
  }
  CHECK(place.check_sweep().err == line);
  CHECK_FALSE(fs::exists(place.runs));
  // Said at the key where it stands in the file.
  CHECK(refusal(pooled_config(1), {"data.drop_last=false"}).starts_with("azimuth: --set data.drop_last: the last batch"));

  const CommandResult trained = place.train({"data.drop_last=true"});
  INFO(trained.err);
  CHECK(trained.exit == 0);
}

TEST_CASE("a run that was cut before a last batch that cannot be trained on may not go on to it, and can be evaluated") {
  const Place place(pooled_config(1));
  const std::string run = place.runs + "/run";
  CHECK(place.train({"train.max_steps=3"}).exit == 0);
  const CommandResult resumed = run_azimuth({"resume", run, "--set", "train.max_steps=null"});
  CHECK(resumed.exit == 2);
  CHECK_MESSAGE(resumed.err.find("data.drop_last: the last batch of an epoch has 1 of 65 images") != std::string::npos,
                resumed.err);
  // What is recommended can be done.
  CHECK(
      resumed.err.ends_with("got input [1,8]; end before it, by train.max_steps=4; a run takes no other change than those "
                            "that azimuth describe config says are for resume: otherwise train anew with azimuth train\n"));
  CHECK(run_azimuth({"resume", run, "--set", "train.max_steps=4"}).exit == 0);
  CHECK(run_azimuth({"resume", run, "--set", "data.drop_last=true", "--set", "train.max_steps=null"}).exit == 2);
  CHECK(run_azimuth({"eval", run}).exit == 0);
  // What SGDP's rule is tried on are the batches that it was trained on.
  const CommandResult judged = run_azimuth({"invariance", run, "--batches", "6"});
  CHECK_MESSAGE(judged.exit == 0, judged.err);
}

TEST_CASE("what counts is how many values a channel has, and whether the batch comes") {
  CHECK(notes(pooled_config(2)) == "");
  CHECK(notes(pooled_config(1), {"train.max_steps=4"}) == "");
  CHECK(refusal(pooled_config(1), {"train.max_steps=5"}).find("data.drop_last: the last batch") != std::string::npos);
  CHECK(notes(pooled_config(1), {"train.accumulate=2", "train.max_steps=2"}) == "");
  CHECK(refusal(pooled_config(1), {"train.accumulate=2"}).find("data.drop_last: the last batch") != std::string::npos);
  CHECK(refusal(pooled_config(1), {"train.precision=bf16"}).find("data.drop_last: the last batch") != std::string::npos);
  CHECK(notes(pooled_config(1), {"data.batch_size=13"}) == "");
  // A part of the images left aside changes the last batch.
  CHECK(notes(pooled_config(1), {"data.validation=15"}) == "");
  CHECK(refusal(pooled_config(2), {"data.validation=17"}).find("has 1 of 49 images") != std::string::npos);
  CHECK(refusal(pooled_config(2), {"data.subset=33"}).find("has 1 of 33 images") != std::string::npos);

  // With 8x8 pixels a channel, an image is enough.
  const Place place(tiny_config(R"({"epochs": 1})"));
  CHECK(place.train({"data.train_images=49"}).exit == 0);
  // With one pixel it is not, whatever the number of axes.
  CHECK(refusal(tiny_config(), {"data.train_images=49", "model.layers.0.kernel=34"})
            .find("got input [1,8,1,1]; set it to true") != std::string::npos);
}

TEST_CASE("a batch_size or a training part of one image is refused by its own name") {
  CHECK(
      refusal(pooled_config(1), {"data.batch_size=1"}) ==
      "azimuth: --set data.batch_size: the network cannot be trained on 1 image at a time: 3: batch_norm: needs more than one "
      "value a channel to take statistics over, got input [1,8]; raise it\n");
  CHECK(refusal(pooled_config(1), {"data.train_images=1"}) ==
        "azimuth: exp.json:4:11: data: the network cannot be trained on its only image: 3: batch_norm: needs more than one "
        "value a "
        "channel to take statistics over, got input [1,8]; train on more\n");
}

TEST_CASE("a model with fewer numbers than the data has classes is refused, one with more is noted") {
  const std::string text = R"({"data": {"type": "shapes", "train_images": 20, "test_images": 20, "batch_size": 10},
    "model": {"type": "cifar_resnet", "width": 2, "num_classes": 5}, "optimizer": {"type": "sgd", "lr": 0.1}})";
  const Place place(text);
  const std::string line =
      "azimuth: exp.json:2:66: model.num_classes: 5 is fewer than the data's 10 classes; null stands for as many\n";
  CHECK(place.check().err == line);
  CHECK(place.check_sweep().err == line);
  CHECK(place.train().err == line);
  CHECK_FALSE(fs::exists(place.runs));
  CHECK(refusal(text, {"model.type=resnet"}).find("model.num_classes: 5 is fewer") != std::string::npos);
  CHECK(notes(text, {"model.num_classes=10"}) == "");
  CHECK(notes(text, {"model.num_classes=12"}) ==
        note("model: the network makes 12 numbers of an image, and the data has 10 classes"));
  CHECK(notes(tiny_config(), {"model.layers.5.out_features=12"}) ==
        note("model: the network makes 12 numbers of an image, and the data has 10 classes"));
}

TEST_CASE("normalising groups of one value is refused: they are 0 whatever the image is") {
  const auto pooled = [](const std::string& norm) {
    std::string text = pooled_config(2);
    const std::string from = R"({"type": "batch_norm"})";
    return text.replace(text.find(from), from.size(), norm);
  };
  CHECK(refusal(pooled(R"({"type": "group_norm", "groups": 8})"))
            .find("model.layers.3: GroupNorm: each of the 8 groups has one value of the input [1,8], which becomes 0") !=
        std::string::npos);
  CHECK(notes(pooled(R"({"type": "group_norm", "groups": 4})")) == "");
  CHECK(refusal(pooled(R"({"type": "linear", "out_features": 1}, {"type": "layer_norm"})"))
            .find("model.layers.4: LayerNorm: a sample of one value becomes 0") != std::string::npos);
}

TEST_CASE("what has no effect, or hardly can be meant, is noted by check, sweep and train in the same words") {
  const std::string text = tiny_config(R"({"epochs": 3})");  // 12 steps
  const Place place(text);
  const Overrides odd = {"data.validation=1", "train.log_every=13"};
  const std::string lines =
      note("data.validation: holds out 1 image, fewer than the 10 classes; a number below 1 is a share of the images") +
      note("train.log_every: 13 is more than the 12 steps of the training, none of which is logged");
  CHECK(place.check(odd).err == lines + "exp.json: ok; the data set itself was not looked at\n");
  CHECK(place.check_sweep(odd).err.find(lines) == 0);
  const CommandResult trained = place.train(odd);
  CHECK(trained.exit == 0);
  CHECK(trained.err.find(lines) != std::string::npos);

  CHECK(notes(text) == "");
  CHECK(notes(text, {"data.validation=0.25"}) == "");
  const std::vector<std::pair<Overrides, std::string>> table = {
      {{"data.test_images=9"}, "data: the test part has 9 images, fewer than the 10 classes"},
      {{"data.subset=8", "data.batch_size=8"}, "data: the training part has 8 images, fewer than the 10 classes"},
      {{"data.batch_size=64"}, "data.batch_size: 64 is more than there are training images: an epoch is one batch of 60"},
      {{"data.mean=[125.3, 123, 113.9]", "data.std=[0.2, 0.2, 0.2]"},
       "data.mean: 125.3 is outside [0, 1], where pixels are; divide by 255 what is of 0 to 255"},
      {{"data.augment=[{\"type\": \"random_crop\", \"padding\": 32}]"},
       "data.augment.0.padding: 32 leaves nothing but black of some of the 32x32 images"},
      {{"data.augment=[{\"type\": \"horizontal_flip\", \"probability\": 0}]"}, "data.augment.0.probability: 0 never mirrors"},
      {{"data.augment=[{\"type\": \"random_crop\", \"padding\": 0}]"},
       "data.augment.0.padding: 0 leaves the images as they are"},
      {{"data.augment=[{\"type\": \"cutout\", \"size\": 32}]"},
       "data.augment.0.size: 32 hides all of some of the 32x32 images"},
      {{"train.accumulate=5"}, "train.accumulate: 5 is more than the 4 batches of an epoch, which make one step"},
      {{"train.max_steps=13"}, "train.max_steps: 13 is not reached, as 3 epochs have 12 steps"},
      {{"train.evaluation.every_epochs=4"},
       "train.evaluation.every_epochs: 4 is more than the 3 epochs of the training: only its end is evaluated"},
      {{"train.evaluation.every_epochs=3", "train.max_steps=8"},
       "train.evaluation.every_epochs: 3 is more than the 2 epochs of the training: only its end is evaluated"},
      {{"checkpoint.every_epochs=4"},
       "checkpoint.every_epochs: 4 is more than the 3 epochs of the training: only its end is saved"},
      {{R"(probes=[{"type": "scale_invariance", "every": 13}])"},
       "probes.0.every: 13 is more than the 12 steps of the training: only the first is watched"},
      {{"train.clip_norm=1e-30"}, "train.clip_norm: 1e-30 is so small that weights hardly change: f32 has 7 digits"},
      {{"train.clip_value=1e-30"}, "train.clip_value: 1e-30 is so small that weights hardly change: f32 has 7 digits"},
      {{"optimizer.lr=1e-12"}, "optimizer.lr: 1e-12 is so small that weights hardly change: f32 has 7 digits"},
      {{"optimizer.lr=1e6"}, "optimizer.lr: 1000000 is so large that few networks would not diverge"},
      {{"optimizer.weight_decay=1e30"}, "optimizer.weight_decay: 1e+30 is so large that few networks would not diverge"},
      {{R"(optimizer.groups=[{"dims": 4, "lr_factor": 1e6}])"},
       "optimizer.groups.0.lr_factor: 1000000 is so large that few networks would not diverge"},
      {{R"(optimizer.groups=[{"dims": 1, "weight_decay": 0}, {"dims": 4, "weight_decay": 1e9}])"},
       "optimizer.groups.1.weight_decay: 1000000000 is so large that few networks would not diverge"},
      {{"data.split_seed=7"}, "data.split_seed: means nothing, as neither validation nor subset chooses images"},
      {{R"(optimizer.groups=[{"dims": 1, "frozen": true, "trust_ratio": 0.1}])"},
       "optimizer.groups.0.trust_ratio: means nothing, as the group is frozen"},
      {{R"(optimizer.groups=[{"dims": 4, "lr_factor": 2}, {"dims": 1, "frozen": true, "weight_decay": 0}])"},
       "optimizer.groups.1.weight_decay: means nothing, as the group is frozen"},
      {{R"(train.average={"type": "ema", "decay": 0})"},
       "train.average.decay: 0 keeps nothing of the average: it is the weights as they are each time"},
      {{R"(train.average={"type": "lookahead", "decay": 0})"},
       "train.average.decay: 0 keeps nothing of the average: it is the weights as they are each time"},
      {{R"(optimizer={"type": "sgd", "lr": 0.1, "dampening": 0.5})"}, "optimizer.dampening: has no effect without momentum"},
      {{R"(optimizer={"type": "sgdp", "lr": 0.1, "nesterov": true})"}, "optimizer.nesterov: has no effect without momentum"},
      {{R"(optimizer={"type": "sgdp", "lr": 0.1, "nesterov": true, "dampening": 0.5})"},
       "optimizer.nesterov: without momentum it only takes back the dampening"},
      {{R"(optimizer={"type": "sgdp", "lr": 0.1, "dampening": 0.75})"},
       "optimizer.dampening: without momentum it only makes each move 0.25 as long"},
      {{R"(optimizer={"type": "sgdp", "lr": 0.1, "project_momentum": false})"},
       "optimizer.project_momentum: has no effect without momentum"},
      {{R"(optimizer={"type": "sgdp", "lr": 0.1, "momentum": 0.9, "nesterov": true, "project_momentum": false})"},
       "optimizer.project_momentum: has no effect with nesterov"},
      {{R"(optimizer={"type": "sgdp", "lr": 0.1, "projection": "channel", "delta": 0.2})"},
       "optimizer.delta: means nothing, as projection is \"channel\""},
      {{R"(optimizer={"type": "adamp", "projection": "never", "wd_ratio": 1})"},
       "optimizer.wd_ratio: means nothing, as projection is \"never\""},
      {{R"(optimizer={"type": "adamp", "nesterov": true, "betas": [0, 0.9]})"},
       "optimizer.nesterov: has no effect where the first of the betas is 0"},
      {{R"(optimizer={"type": "muon", "lr": 0.1, "groups": [{"dims": 1, "optimizer": {"type": "sgd", "lr": 1, "dampening": 0.5}}]})"},
       "optimizer.groups.0.optimizer.dampening: has no effect without momentum"},
      {{R"(optimizer={"type": "muon", "lr": 0.1, "groups": [{"dims": 1, "optimizer": {"type": "adam", "lr": 1e6}}]})"},
       "optimizer.groups.0.optimizer.lr: 1000000 is so large that few networks would not diverge"},
  };
  for (const auto& [overrides, sentence] : table) CHECK(notes(text, overrides) == note(sentence));
  for (const Overrides& fine : {Overrides{"train.log_every=12"},
                                {"data.batch_size=60"},
                                {"train.accumulate=4"},
                                {"train.max_steps=12"},
                                {"checkpoint.every_epochs=3"},
                                {"train.max_steps=3"},
                                {"data.split_seed=7", "data.subset=0.9"},
                                {R"(optimizer={"type": "sgdp", "lr": 0.1, "momentum": 0.9, "nesterov": true, "dampening": 0.5,
                                               "projection": "layer", "wd_ratio": 0.2})"},
                                {R"(optimizer={"type": "adamp", "nesterov": true, "delta": 0.2})"},
                                {"data.split_seed=7", "data.validation=0.25"},
                                {R"(optimizer.groups=[{"dims": 1, "frozen": true}])"},
                                {R"(optimizer.groups=[{"dims": 1, "frozen": true, "trust_ratio": 0.1},
                                                      {"kind": "bias", "frozen": false}])"},
                                {R"(probes=[{"type": "scale_invariance", "every": 12}])"}}) {
    CAPTURE(fine[0]);
    CHECK(notes(text, fine) == "");
  }
}

TEST_CASE("notes go to stderr, and JSON alone to stdout") {
  const Place place(tiny_config());
  const CommandResult result = place.run({"check", place.config, "--json", "--set", "data.validation=1"});
  CHECK(result.exit == 0);
  CHECK(result.out.starts_with("{"));
  CHECK(result.err.starts_with("azimuth: note: data.validation: "));
}

TEST_CASE("what cannot be meant is refused at its place") {
  const std::string text = tiny_config();
  CHECK(refusal(text, {"data.augment.0={\"type\": \"cutout\", \"size\": 63}"})
            .find("data.augment.0.size: 63 hides all of every 32x32 image") != std::string::npos);
  CHECK(refusal(text, {"data.mean=[0, 0, 0]", "data.std=[1, 1, 1e-300]"})
            .find("data.std: pixels of channel 2 cannot be normalised with a mean of 0 and a standard deviation of 1e-300") !=
        std::string::npos);
  CHECK(refusal(text, {R"(log=["csv", "tensorboard", "csv"])"}) ==
        "azimuth: --set log: log.2: \"csv\" is in the list twice; remove it here or at --set log\n");
  CHECK(refusal(text, {R"(checkpoint.keep=["last", "last"])"}) ==
        "azimuth: --set checkpoint.keep: checkpoint.keep.1: \"last\" is in the list twice; remove it here or at --set "
        "checkpoint.keep\n");
  CHECK(refusal(text, {"train.epochs=null", "train.max_steps=9223372036854775807"})
            .find("train.max_steps: must be at most 1000000000000000, got 9223372036854775807") != std::string::npos);
  CHECK(refusal(text, {"optimizer.dampening=1"}).find("optimizer.dampening: must be less than 1, got 1") != std::string::npos);
}

TEST_CASE("finding out changes nothing: weights, statistics, mode and random numbers are as a network just built has them") {
  const ExperimentConfig config = parsed(tiny_config());
  const nn::ModulePtr built = build_model(config);
  const RandomState after_building = random_state();
  const Blueprint blueprint(config);
  CHECK(random_state().seed == after_building.seed);
  CHECK(random_state().draws == after_building.draws);
  CHECK(blueprint.model->training() == built->training());
  const auto before = built->state(), after = blueprint.model->state();
  CHECK(before.size() == after.size());
  for (const auto& [name, tensor] : after) {
    CHECK(tensor.to_vector<float>() == before.at(name).to_vector<float>());
    CHECK_FALSE(tensor.grad().defined());
  }
}
