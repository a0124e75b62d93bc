#include "experiments/sweep/runner.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "core/base/files.h"
#include "core/base/threads.h"
#include "core/config/json_document.h"
#include "experiments/interrupt.h"
#include "experiments/run_folder.h"
#include "experiments/say.h"
#include "experiments/sweep/child.h"
#include "experiments/trainer.h"

namespace az::experiments {
namespace {

namespace fs = std::filesystem;

void pause(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

// Says whether the trainings take equally many steps, in whatever words their lengths are given.
bool same_length(const ExperimentConfig& before, const ExperimentConfig& now) {
  const std::optional<data::DataPlan> plan = now.data.create().plan;
  if (!plan) return false;
  const int64_t steps = now.train.steps_of(plan->batches());
  return before.train.length(steps).steps == now.train.length(steps).steps;
}

// What a run that goes on is given by --set; throws what differs so that it is another training, or another measure of one.
// Words and places do not count: a run keeps its own.
std::vector<std::string> changed_options(const ExperimentConfig& before, const ExperimentConfig& now) {
  std::vector<std::string> overrides;
  for (const config::Change& change : config::changes(before, now)) {
    if (change.path == "$schema" || change.path == "description") continue;
    if (config::has(change.rules, config::Rule::Kind::path)) continue;
    const bool of_length = change.path == "train.epochs" || change.path == "train.max_steps";
    const bool counts = of_length ? !same_length(before, now)
                                  : change.path == "train.evaluation.test_time_augmentation" ||
                                        !config::has(change.rules, config::Rule::Kind::changes_on_resume);
    if (counts) fail("{} {}, now {}", change.path, config::dump(change.before), config::dump(change.now));
    if (!of_length) overrides.push_back(change.path + "=" + config::dump(change.now));
  }
  return overrides;
}

// A folder in which a run started and was killed before its first checkpoint.
bool only_started(const std::string& folder) {
  const auto all_in = [](const std::string& path, const auto& known) {
    std::error_code error;
    for (fs::directory_iterator at(path, error), end; at != end; at.increment(error)) {
      if (!known(at->path().filename().string())) return false;
    }
    return !error;
  };
  return all_in(folder, [&](const std::string& name) {
    std::error_code unknown;
    if (name == "metrics.jsonl") return fs::file_size(folder + "/" + name, unknown) == 0;
    if (name == "checkpoints") return all_in(folder + "/" + name, [](const std::string& one) { return one == "last.new"; });
    return name == "config.json" || name == "configs.jsonl" || name == "environment.json" || name == "measurements.json" ||
           name == "metrics.csv" || name == "tensorboard" || names_unfinished_file(name);
  });
}

// Deletes what a kill has left in the folder of a run that is done, unless another program is at work there.
void tidy(const std::string& folder) {
  try {
    const std::string log = folder + "/metrics.jsonl";
    if (!is_there(log)) return;
    OutputFile held(log);
    if (held.lock()) clear_leftovers(folder);
  } catch (const FileError&) {}  // it may not be written to: the run is done all the same
}

[[noreturn]] void fail_to_make(const std::string& folder, const std::error_code& error) {
  throw ConfigError(fmt::format("cannot make the folder {}: {}; choose another with --folder DIR", folder, error.message()));
}

// Held while it lives, and by every process that is started meanwhile.
class FolderLock {
 public:
  explicit FolderLock(const std::string& folder) : handle_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY)) {
    if (handle_ < 0) throw FileError(folder, "cannot be read", errno);
    // The runs of a sweep that was killed take a moment to save.
    for (int tries = 0; ::flock(handle_, LOCK_EX | LOCK_NB) != 0; ++tries) {
      if (errno != EWOULDBLOCK && errno != EINTR) throw FileError(folder, "cannot be locked", errno);
      if (tries == 50) fail("another sweep is at work in {}, or its last runs are; wait for their end, or end them", folder);
      pause(100);
    }
  }
  ~FolderLock() { ::close(handle_); }
  FolderLock(const FolderLock&) = delete;

 private:
  int handle_;
};

class Runner {
 public:
  Runner(const Sweep& sweep, const SweepRunnerOptions& options) : sweep_(sweep), options_(options) {
    for (const SweepRun& run : sweep.runs) {
      Standing standing = standing_of(run, folder_of(run));
      result_.states.push_back(standing.state);
      result_.failures.push_back(std::move(standing.failure));
      overrides_.push_back(std::move(standing.overrides));
    }
  }

  SweepResult run() {
    const InterruptGuard guard("telling the runs to save", "stopped at once; the last checkpoints stay as they were");
    introduce();
    bool told = false;
    for (size_t next = 0;;) {
      const Exit stop = InterruptGuard::received();
      for (Job& job : jobs_) {
        if (stop != Exit::done && !told) job.child.signal(stop == Exit::interrupted ? SIGINT : SIGTERM);
      }
      told = stop != Exit::done;
      while (!told && next < sweep_.runs.size() && int64_t(jobs_.size()) < options_.jobs) start(next++);
      std::erase_if(jobs_, [&](Job& job) { return finish(job); });
      if (jobs_.empty() && (told || next == sweep_.runs.size())) break;
      pause(20);
    }
    const auto failed = [&](const std::string& failure) { return !failure.empty(); };
    if (std::any_of(result_.failures.begin(), result_.failures.end(), failed)) result_.exit = Exit::failure;
    if (told) result_.exit = InterruptGuard::received();
    return result_;
  }

 private:
  struct Job {
    size_t run;
    Child child;
  };

  std::string folder_of(const SweepRun& run) const { return options_.folder + "/" + run.name; }

  void introduce() const {
    const auto count = [&](RunState state) { return std::count(result_.states.begin(), result_.states.end(), state); };
    experiments::say("sweep {}: {} runs, {} done, {} unfinished; {} at a time{}, in {}", sweep_.name, sweep_.runs.size(),
                     count(RunState::done), count(RunState::unfinished), options_.jobs,
                     share(0) ? fmt::format(" with {} thread{} each", *share(0), *share(0) == 1 ? "" : "s") : "",
                     options_.folder);
  }

  void start(size_t index) {
    const SweepRun& run = sweep_.runs[index];
    const std::string folder = folder_of(run);
    if (result_.states[index] == RunState::done) return tidy(folder);
    if (result_.states[index] == RunState::failed) return fail_run(index, result_.failures[index]);
    const bool fresh = result_.states[index] == RunState::absent;
    std::vector<std::string> arguments = {"resume", folder};
    if (fresh) {
      std::error_code stays;
      fs::remove_all(folder, stays);  // what a run killed at its start has left
      arguments = {"train", run.base};
    }
    for (const std::string& text : fresh ? run.overrides : overrides_[index])
      arguments.insert(arguments.end(), {"--set", text});
    if (fresh) arguments.insert(arguments.end(), {"--run", folder});
    say(index, fresh ? "starts" : "goes on");
    try {
      jobs_.push_back({index, Child(arguments, folder + ".log", share(index))});
    } catch (const Error& error) {
      fail_run(index, error.what());
    }
  }

  // The threads of a run that starts now: its part of the cores where others train beside it, else as for any program.
  std::optional<int> share(size_t index) const {
    const auto begin = result_.states.begin();
    const int64_t left = std::count_if(begin + int64_t(index), result_.states.end(),
                                       [](RunState s) { return s == RunState::absent || s == RunState::unfinished; });
    const int64_t beside = std::min(options_.jobs, int64_t(jobs_.size()) + left);
    return beside > 1 ? std::optional(std::max(1, int(thread_count() / beside))) : std::nullopt;
  }

  // Passes on what the job has written, and says whether it has ended.
  bool finish(Job& job) {
    const bool ended = job.child.ended();  // first, so that no line comes after the last look
    job.child.read_lines([&](const std::string& line) {
      if (line.starts_with("epoch ")) say(job.run, line);
    });
    if (ended) settle(job.run, job.child.exit(), job.child.last_line());
    return ended;
  }

  void settle(size_t index, int exit, const std::string& last_line) {
    // One that had not yet come to noting signals dies of the one passed on, and nothing is lost.
    const int stop = int(InterruptGuard::received());
    const bool stopped = stop != 0 && (exit == stop || exit == 128 - stop);
    result_.states[index] = exit == 0 ? RunState::done : RunState::unfinished;
    if (exit == 0) return say(index, "done");
    if (stopped) return;
    std::string failure = exit < 0 ? fmt::format("killed by signal {}", -exit) : fmt::format("exit code {}", exit);
    constexpr std::string_view mark = "azimuth: ";
    if (exit > 0 && last_line.starts_with(mark)) failure += ": " + last_line.substr(mark.size());
    fail_run(index, fmt::format("{}; see {}.log", failure, folder_of(sweep_.runs[index])));
  }

  void fail_run(size_t index, const std::string& failure) {
    result_.states[index] = RunState::failed;
    result_.failures[index] = failure;
    say(index, "FAILED, " + failure);
  }

  void say(size_t index, const std::string& what) const {
    experiments::say("[{}/{}] {}: {}", index + 1, sweep_.runs.size(), sweep_.runs[index].name, what);
  }

  const Sweep& sweep_;
  SweepRunnerOptions options_;
  std::vector<std::vector<std::string>> overrides_;  // of each run, where it goes on
  std::vector<Job> jobs_;
  SweepResult result_;
};

}  // namespace

const char* name_of(RunState state) {
  switch (state) {
    case RunState::absent: return "absent";
    case RunState::unfinished: return "unfinished";
    case RunState::done: return "done";
    case RunState::failed: return "failed";
  }
  return "";
}

Standing standing_of(const SweepRun& run, const std::string& folder) {
  std::error_code unknown;
  if (fs::symlink_status(folder, unknown).type() == fs::file_type::not_found) return {RunState::absent};
  const std::string remedy = "remove it, or choose another folder for the sweep with --folder DIR";
  std::string checkpoint;
  ExperimentConfig before;
  try {
    checkpoint = existing_checkpoint(folder + "/checkpoints/last");
    if (!is_there(checkpoint)) {
      if (fs::is_directory(folder, unknown) && only_started(folder)) return {RunState::absent};
      return {RunState::failed, fmt::format("{} is in the way: it is no run with a checkpoint; {}", folder, remedy)};
    }
    before = parse_config(read_run_config(folder), folder + "/config.json");
  } catch (const Error& error) {
    return {RunState::failed, error.what()};
  }
  Standing standing{RunState::unfinished};
  try {
    standing.overrides = changed_options(before, run.config);
  } catch (const Error& differs) {
    throw ConfigError(fmt::format("{} was trained with another config: {}; {}", folder, differs.what(), remedy));
  }
  try {
    if (ended(run.config.train, load_state(checkpoint))) standing.state = RunState::done;
  } catch (const DataError&) {}  // resuming it will say what is wrong
  return standing;
}

void check_sweep_folder(const std::string& folder) {
  fs::path place = absolute_path(folder);
  const fs::path whole = place;
  try {
    while (!is_there(place) && place.has_relative_path()) place = place.parent_path();
  } catch (const FileError& error) {
    fail_to_make(folder, error.reason);
  }
  std::error_code error;
  if (!fs::is_directory(place, error)) fail_to_make(folder, error ? error : std::make_error_code(std::errc::not_a_directory));
  if (place != whole && ::access(place.c_str(), W_OK | X_OK) != 0) fail_to_make(folder, {errno, std::generic_category()});
}

SweepResult run_sweep(const Sweep& sweep, const SweepRunnerOptions& options) {
  check_sweep_folder(options.folder);
  if (const std::error_code error = make_folders(options.folder)) fail_to_make(options.folder, error);
  const FolderLock lock(options.folder);
  delete_unfinished_files(options.folder);
  return Runner(sweep, options).run();
}

}  // namespace az::experiments
