#pragma once

#include <string>
#include <vector>

#include "core/error.h"
#include "experiments/sweep/plan.h"

namespace az::experiments {

enum class RunState { absent, unfinished, done, failed };
const char* name_of(RunState state);

// How the run stands in its folder: unfinished with a checkpoint to go on from, absent where nothing has been trained. Throws
// ConfigError when the folder is of another config, or is something else.
RunState state_of(const SweepRun& run, const std::string& folder);

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
// is unfinished is resumed. A signal is passed on to the runs, which save and end. Says on stderr what goes on. Throws
// ConfigError before the first run when a folder does not fit, and Error when another sweep is at work there.
SweepResult run_sweep(const Sweep& sweep, const SweepRunnerOptions& options);

}  // namespace az::experiments
