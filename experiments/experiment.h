#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/backend/tuning.h"
#include "core/config/registry.h"
#include "data/builtin.h"
#include "experiments/probes/probe.h"
#include "nn/builtin.h"
#include "nn/enough_samples.h"
#include "optim/builtin.h"

namespace az::experiments {

struct EvaluationOptions {
  int64_t every_epochs = 1;
  std::string test_time_augmentation = "none";

  static void fields(auto& f) {
    using namespace config;
    f("every_epochs", &EvaluationOptions::every_epochs, "epochs between two evaluations; there is always one at the end",
      at_least(1), changes_on_resume());
    f("test_time_augmentation", &EvaluationOptions::test_time_augmentation,
      "logits are the mean over an image and its mirror image; with translation also over both moved by a pixel to the lower "
      "right and the upper left, at half the weight",
      one_of({"none", "flip", "flip_translate"}), changes_on_resume());
  }
};

struct TrainOptions {
  std::optional<int64_t> epochs = {};
  std::optional<int64_t> max_steps = {};
  int64_t accumulate = 1;
  std::string precision = "f32";
  double label_smoothing = 0;
  std::optional<double> clip_norm = {};
  std::optional<double> clip_value = {};
  bool deterministic = false;
  std::optional<int64_t> threads = {};
  int64_t log_every = 50;
  std::optional<config::Component<optim::AverageRegistry>> average = {};
  EvaluationOptions evaluation = {};

  static void fields(auto& f) {
    using namespace config;
    f("epochs", &TrainOptions::epochs, "passes over the training set; null: as many as max_steps takes, or 30", at_least(1),
      at_most(1e6), changes_on_resume());
    f("max_steps", &TrainOptions::max_steps, "optimizer steps; the smaller of both ends the training, and the schedule with it",
      at_least(1), at_most(1e15), changes_on_resume());
    f("accumulate", &TrainOptions::accumulate, "batches whose gradients make one step", at_least(1), at_most(1e6));
    f("precision", &TrainOptions::precision,
      "number type of activations; with bf16, weights, their gradients, statistics and the loss stay f32, and everything does "
      "where the processor has no bf16 arithmetic",
      one_of({"f32", "bf16"}));
    f("label_smoothing", &TrainOptions::label_smoothing, "share of each label spread over all classes", at_least(0),
      less_than(1));
    f("clip_norm", &TrainOptions::clip_norm, "scale all gradients so that their norm together is at most this", more_than(0));
    f("clip_value", &TrainOptions::clip_value, "clamp each element of each gradient to plus or minus this", more_than(0));
    f("deterministic", &TrainOptions::deterministic,
      "choose convolution algorithms by a fixed rule, not by timing: equal bits on like machines, given equal threads");
    f("threads", &TrainOptions::threads, "threads to use; null: OMP_NUM_THREADS, or as many as there are cores to use",
      at_least(1), at_most(1024), changes_on_resume());
    f("log_every", &TrainOptions::log_every, "steps between two lines of metrics.jsonl", at_least(1), changes_on_resume());
    f("average", &TrainOptions::average, "of the weights over the steps: what is evaluated, and what a finished run gives");
    f("evaluation", &TrainOptions::evaluation, "accuracy on the validation and test part");
  }

  // What `epochs` stands for: no value where max_steps alone ends the training.
  std::optional<int64_t> epochs_or_default() const { return epochs || max_steps ? epochs : 30; }
  // Optimizer steps that so many batches of an epoch make.
  int64_t steps_of(int64_t batches) const { return (batches + accumulate - 1) / accumulate; }
  // How long the training is where an epoch has so many steps.
  optim::Length length(int64_t steps_per_epoch) const;
};

struct CheckpointOptions {
  int64_t every_epochs = 1;
  std::vector<std::string> keep = {"last", "best"};

  static void fields(auto& f) {
    f("every_epochs", &CheckpointOptions::every_epochs, "epochs between two checkpoints", config::at_least(1),
      config::changes_on_resume());
    f("keep", &CheckpointOptions::keep,
      "which to keep: the newest, the most accurate; the last is written without it at the start, at the end and at a stop",
      config::one_of({"last", "best"}), config::distinct(), config::changes_on_resume());
  }
  bool keeps(const std::string& name) const { return std::find(keep.begin(), keep.end(), name) != keep.end(); }
};

// A whole experiment, as JSON states it.
struct ExperimentConfig {
  std::string schema;
  std::string name;
  std::string description;
  int64_t seed = 0;
  std::vector<std::string> plugins;
  config::Component<data::DataRegistry> data;
  config::Component<nn::ModelRegistry> model;
  config::Component<optim::OptimizerRegistry> optimizer;
  config::Component<optim::ScheduleRegistry> schedule{"constant"};
  TrainOptions train;
  std::vector<config::Component<ProbeRegistry>> probes;
  std::vector<std::string> log;
  CheckpointOptions checkpoint;

  static void fields(auto& f) {
    f("$schema", &ExperimentConfig::schema, "for editors: what `azimuth schema` prints", config::changes_on_resume());
    f("name", &ExperimentConfig::name, "of the run folder; by default the config file's", config::folder_name(),
      config::changes_on_resume());
    f("description", &ExperimentConfig::description, "what result to expect", config::changes_on_resume());
    f("seed", &ExperimentConfig::seed, "of everything random", config::at_least(0));
    f("plugins", &ExperimentConfig::plugins, "must be empty: link layers of your own into a program (azimuth::cli)",
      config::elements(0, 0, "none is loaded by this version; link layers of your own into a program with azimuth::cli"));
    f("data", &ExperimentConfig::data, "data set, batches and augmentation", config::required());
    f("model", &ExperimentConfig::model, "network", config::required());
    f("optimizer", &ExperimentConfig::optimizer, "update rule", config::required());
    f("schedule", &ExperimentConfig::schedule, "learning rate over the steps");
    f("train", &ExperimentConfig::train, "the training loop");
    f("probes", &ExperimentConfig::probes, "what watches the steps of the training, for metrics.jsonl",
      config::changes_on_resume());
    f("log", &ExperimentConfig::log, "other forms of metrics.jsonl that are kept beside it",
      config::one_of({"csv", "tensorboard"}), config::distinct(), config::changes_on_resume());
    f("checkpoint", &ExperimentConfig::checkpoint, "what is saved");
  }
};

// `name`, or where that is empty the stem of the file at `path`. Throws ConfigError unless that can be the name of a folder.
std::string name_or_stem(const std::string& name, const std::string& path);

// Registers everything that comes with Azimuth. Call it first; more than once does no harm.
void register_builtin();

// Reads a config, with `--set` overrides ("optimizer.lr=0.05") applied. Throws ConfigError with the place.
ExperimentConfig load_config(const std::string& path, const std::vector<std::string>& overrides = {});
// Does the same with what has been read of the file at `path`.
ExperimentConfig parse_config(config::Value value, const std::string& path, const std::vector<std::string>& overrides = {});
// The resolved config, every default written out, as indented JSON.
std::string to_json(const ExperimentConfig& config);

// Applies `--set` overrides to what was read of a config.
void set_overrides(config::Value& value, const std::vector<std::string>& overrides);

// What is to be read of a run's config, from its folder. Throws ConfigError where there is none.
config::Value read_run_config(const std::string& folder);

// The network of a config, initialised from its seed. Nothing of the data set is read.
nn::ModulePtr build_model(const ExperimentConfig& config);
// From this call on, convolutions choose as the config says, or keep to what `known` says was chosen before.
void use_algorithms(const ExperimentConfig& config, Algorithms known = {});
// While it lives, layers are tried on as many images as a batch of the data set has, where they do not take one.
nn::BatchSize as_in_batches_of(const data::DataSource& source);

std::vector<NamedProbe> make_probes(const ExperimentConfig& config, const optim::Optimizer& optimizer, const nn::Module& model);

// What an experiment is built for: a training, new or resumed, is refused where its steps cannot be taken; an evaluation is
// not.
enum class Purpose { training, evaluation, resuming };

struct TriedBatches;  // experiments/preflight.h

// All that a config names, built, but for the data set, of which nothing is read. Throws ConfigError, with the place, for what
// cannot be built, and for what preflight() refuses.
struct Blueprint {
  // The config is held to the rules that JSON is held to, wherever it comes from. What was tried of blueprints before need not
  // be tried again.
  explicit Blueprint(ExperimentConfig config, Purpose purpose = Purpose::training, TriedBatches* tried = nullptr);

  ExperimentConfig config;
  data::DataSource source;
  nn::ModulePtr model;
  std::unique_ptr<optim::Optimizer> optimizer;
  std::vector<NamedProbe> probes;
  optim::Schedule schedule;
  std::vector<std::string> notes;  // as preflight() gives

  // What the schedule makes of the learning rate. Throws unless it is 0 or more.
  double lr_factor(const optim::Moment& moment) const;
};

// What each layer of its network makes of an image of the data set, of the parameters' number type unless given.
nn::Summary summarize(const Blueprint& blueprint, std::optional<DType> type = {});

// The objects that a config stands for, ready to train: what can be known before the data is read is reported before.
struct Experiment : Blueprint {
  explicit Experiment(ExperimentConfig config, Purpose purpose = Purpose::training);

  std::unique_ptr<optim::WeightAverage> average;  // nullptr: none
  data::Splits splits;
  data::Loader train;
  std::optional<data::Loader> validation;
  data::Loader test;

  // These say where in the training a step stands, counted from 0, and what its learning rate is.
  optim::Moment moment(int64_t step) const { return length().moment(step); }
  double lr_at(int64_t step) const { return lr_at(moment(step)); }
  double lr_at(const optim::Moment& moment) const;
  int64_t steps_per_epoch() const;
  optim::Length length() const { return config.train.length(steps_per_epoch()); }

  // The number type of activations: that of the images which the loaders give. At first what train.precision says, or f32 where
  // the processor has no bf16 arithmetic; use_precision() falls back likewise, and no loop over a loader may be under way.
  DType precision() const { return train.options().type; }
  void use_precision(DType wanted);

 private:
  double base_lr_;
};

// The network of a run in evaluation mode, with the weights of its best checkpoint, or of the last one where there is no best:
//   auto net = experiments::load_run("runs/quickstart");
//   Tensor logits = (*net)(images);
nn::ModulePtr load_run(const std::string& folder);

}  // namespace az::experiments
