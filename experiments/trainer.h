#pragma once

#include <memory>
#include <optional>
#include <string>

#include "experiments/checkpoint.h"
#include "experiments/experiment.h"
#include "experiments/history.h"
#include "experiments/metrics.h"
#include "experiments/progress.h"
#include "experiments/step.h"

namespace az::experiments {

struct TrainingResult {
  Exit exit = Exit::done;                 // or interrupted, terminated
  int64_t epochs = 0, step = 0;           // epochs begun: max_steps may have cut the last one short
  double passes = 0;                      // over the training set
  double seconds = 0;                     // of training, without evaluation, in all sessions
  std::optional<EpochSummary> last = {};  // the last epoch finished in this session
  std::string best_of;                    // what best_accuracy is of: "validation" where there is such a part, else "test"
  std::optional<double> best_accuracy = {};
  int64_t best_epoch = 0;
};

// Says whether all epochs, or all steps, are done.
bool finished(const TrainOptions& train, const TrainingState& state);
// Says whether they are done and have been measured, too: a stop after the last step leaves that to be done.
bool ended(const TrainOptions& train, const TrainingState& state);

struct TrainerOptions {
  bool show_progress = true;
};

// Trains an experiment in its run folder: config.json, configs.jsonl, metrics.jsonl, checkpoints/{last,best}.
class Trainer {
 public:
  Trainer(Experiment& experiment, std::string folder, TrainerOptions options = {});

  // Continues from checkpoints/last, bit for bit where the machine has the precision that the run had. Returns what it had.
  // Throws ConfigError where the experiment's config, or `run`, which has been made of it, may not go on there: something
  // differs that may not change, or more is trained than it asks for.
  DType restore() { return restore(resumed_config(folder_, config_)); }
  DType restore(const RunConfig& run);
  const TrainingState& state() const { return state_; }
  // Trains until the last epoch or step, or a signal. Throws DivergedError on a loss that is not finite; what was saved stays.
  TrainingResult run();

 private:
  bool finished() const { return experiments::finished(config_.train, state_); }
  // The number of epochs to train; the last one may be trained only in part.
  int64_t epochs() const;
  // The number of epochs that are still to come; a part of one counts where max_steps ends the training.
  double epochs_left() const;
  void train_epoch();
  void finish_step(const StepResult& result, Watching& watching);
  // Names what the first step did not reach, which would train to nothing in silence.
  void note_untrained(const std::vector<std::string>& without_gradient);
  void report(Watching& watching);
  void show_step();
  // Evaluates and logs; nothing when a signal comes first.
  std::optional<EpochSummary> measure_epoch();
  // Measures the epoch, or the part of it that max_steps leaves, and moves on to the next where it is whole.
  void finish_epoch();
  void note(const std::string& text);
  void save(const std::string& name);
  void check_finite(const char* name, const Score& score, data::Loader& loader);
  [[noreturn]] void fail_diverged(const char* what, double value, const Tensor& images);

  Experiment& experiment_;
  const ExperimentConfig& config_;
  std::string folder_;
  TrainingState state_;
  bool looked_for_gradients_ = false;
  std::optional<MetricsLog> metrics_;
  std::optional<EpochSummary> last_;
  std::optional<Progress> progress_;
};

}  // namespace az::experiments
