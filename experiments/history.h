#pragma once

#include <optional>
#include <string>
#include <vector>

#include "experiments/checkpoint.h"
#include "experiments/experiment.h"

// What a run was trained with: configs.jsonl in its folder holds a line {"step":n,"config":{...}} for each resolved config that
// took the steps after the n-th. A run may go on with another config only where no step that was taken depends on what differs;
// the options that are so are declared with config::changes_on_resume().
namespace az::experiments {

// A line of configs.jsonl.
struct TrainedWith {
  int64_t step;
  config::Value config;
};
// Empty where there is no such file. Throws DataError where it is damaged.
std::vector<TrainedWith> read_history(const std::string& folder);

// A run's config as it is now, beside the one that it was trained with last.
struct RunConfig {
  ExperimentConfig now;
  config::Value given = {};                     // what that was read from, with its places
  std::optional<ExperimentConfig> before = {};  // none in the folder of an older version, which kept no history
  std::vector<config::Change> changes = {};     // from before to now, all of them allowed
  bool from_the_start = false;                  // whether the history is of all steps
};
// Reads config.json, with `--set` overrides applied, for a run to go on with. Throws ConfigError with the place for a change
// that is not allowed, and DataError where the history is damaged.
RunConfig resumed_config(const std::string& folder, const std::vector<std::string>& overrides = {});
// Does the same with `config`, which the caller has read.
RunConfig resumed_config(const std::string& folder, const ExperimentConfig& config);
// A run's config, from its folder. Throws ConfigError where there is none, and for a change that is not allowed: to an
// evaluation none of the network or the data.
ExperimentConfig load_run_config(const std::string& folder, Purpose purpose = Purpose::training);
// Throws ConfigError where the run stands at `state` beyond the length that it has now; an epoch makes so many batches.
void check_length(const std::string& folder, const RunConfig& run, const TrainingState& state, int64_t batches);
// What the changes do to the run, which stands at `state`: a sentence each.
std::vector<std::string> notes_on_changes(const RunConfig& run, const Experiment& experiment, const TrainingState& state);

// Notes that the run takes the steps after `step` with `config`, in config.json and in the history.
void record_config(const std::string& folder, const ExperimentConfig& config, int64_t step);

}  // namespace az::experiments
