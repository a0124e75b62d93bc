#pragma once

#include <string>
#include <vector>

#include "core/base/error.h"
#include "experiments/sweep/plan.h"

namespace az::experiments {

enum class RunState { absent, unfinished, done, failed };
const char* name_of(RunState state);

// How a run stands in its folder: unfinished with a checkpoint to go on from, absent where nothing has been trained, failed
// where the folder is something else or its config cannot be read.
struct Standing {
  RunState state;
  std::string failure = "";                 // why it has failed
  std::vector<std::string> overrides = {};  // what it goes on with that was not so before, as --set takes it
};
// Throws ConfigError when the folder is of another config.
Standing standing_of(const SweepRun& run, const std::string& folder);

// Throws ConfigError where the sweep's folder is none, or cannot be made.
void check_sweep_folder(const std::string& folder);

struct SweepRunnerOptions {
  std::string folder;  // the sweep's: it gets a folder and a log file for each run
  int64_t jobs = 1;    // runs at a time; they share the cores
};

struct SweepResult {
  Exit exit = Exit::done;             // failure when a run has failed; interrupted, terminated
  std::vector<RunState> states;       // of each run
  std::vector<std::string> failures;  // of each run, or ""
};

// Trains what is not done, each run in a process of its own, so that one that fails is only reported and the others go on; what
// is unfinished is resumed; what has failed already is left as it is. A signal is passed on to the runs, which save and end.
// Says on stderr what goes on. Throws ConfigError before the first run when a folder is of another config, and Error when
// another sweep is at work there.
SweepResult run_sweep(const Sweep& sweep, const SweepRunnerOptions& options);

}  // namespace az::experiments
