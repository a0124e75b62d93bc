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

// A run's config as it is now, beside the one that it was trained with last.
struct RunConfig {
  ExperimentConfig now;
  std::optional<ExperimentConfig> before;  // none in the folder of an older version, which kept no history
  std::vector<config::Change> changes;     // from before to now, all of them allowed
};
// Reads config.json, with `--set` overrides applied, for a run to go on with. Throws ConfigError with the place for a change that
// is not allowed, and DataError where the history is damaged.
RunConfig resumed_config(const std::string& folder, const std::vector<std::string>& overrides = {});
// What that does to the run, which stands at `state`: a sentence each.
std::vector<std::string> notes_on_changes(const RunConfig& run, const Experiment& experiment, const TrainingState& state);
// Throws ConfigError likewise where the run may not go on with `config`.
void check_resumable(const std::string& folder, const ExperimentConfig& config);

// Notes that the run takes the steps after `step` with `config`, in config.json and in the history.
void record_config(const std::string& folder, const ExperimentConfig& config, int64_t step);

}  // namespace az::experiments
