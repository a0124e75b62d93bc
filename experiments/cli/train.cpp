// azimuth train | resume | eval
#include <fmt/core.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "core/base/files.h"
#include "experiments/cli/command_line.h"
#include "experiments/cli/commands.h"
#include "experiments/history.h"
#include "experiments/run_folder.h"
#include "experiments/say.h"
#include "experiments/trainer.h"

namespace az::cli {
namespace {

using namespace experiments;

struct Arguments {
  std::string path;  // of a config or a run
  std::vector<std::string> overrides;
  std::string run;
  std::string checkpoint;
  bool json = false;
};

// What a training came to, for someone watching or for a program.
void report(const TrainingResult& result, const std::string& folder, bool json) {
  if (result.exit != Exit::done) {
    say("azimuth: stopped after step {}, saved; continue with: azimuth resume {}", result.step, quoted(folder));
    return;
  }
  std::optional<Score> test = result.last ? result.last->test : std::nullopt;
  if (json) {
    MetricFields fields = {{"run", folder}, {"epochs", result.epochs}, {"step", result.step}};
    if (test) add_score(fields, "test", *test);
    fields.emplace_back("best_of", result.best_of);
    fields.emplace_back("best_accuracy", result.best_accuracy);
    fields.emplace_back("best_epoch", result.best_epoch);
    fields.emplace_back("seconds", result.seconds);
    fmt::print("{}", metrics_line("result", fields));
    return;
  }
  const std::string start =
      test ? fmt::format("Final test accuracy {} % (top-5 {} %)", percent(test->accuracy()), percent(test->top5_accuracy()))
           : "Already finished";
  const std::string best = result.best_accuracy ? fmt::format("best {} accuracy {} % after epoch {}", result.best_of,
                                                              percent(*result.best_accuracy), result.best_epoch)
                                                : "not measured yet (azimuth eval " + quoted(folder) + " does it)";
  fmt::print("{}, {}; {:.4g} epochs trained in {}.\n", start, best, result.passes, duration(result.seconds));
  fmt::print("The run lies in {}\n", folder);
}

// Removes a run's folder that has no checkpoint to go on from.
void remove_unless_begun(const std::string& folder) {
  std::error_code unknown;
  for (const char* checkpoint : {"/checkpoints/last", "/checkpoints/last.old"}) {
    if (std::filesystem::exists(folder + checkpoint, unknown) || unknown) return;
  }
  std::filesystem::remove_all(folder, unknown);
}

Exit train(const Arguments& arguments, const std::string& command_line) {
  const std::string wanted = arguments.run.empty() ? "" : check_run_folder(arguments.run);
  Experiment experiment(load_config(arguments.path, arguments.overrides));
  const std::string folder = create_run_folder(experiment.config.name, wanted);
  try {
    write_file(folder + "/environment.json",
               environment_json({.command = command_line, .commit = source_commit(), .precision = experiment.precision()}));
    if (!experiment.config.description.empty()) say("{}", experiment.config.description);
    say("run folder {}", folder);
    print_machine_notes();
    print_precision_note(experiment.config, experiment.precision());
    print_notes(experiment.notes);
    const TrainingResult result = Trainer(experiment, folder).run();
    report(result, folder, arguments.json);
    return result.exit;
  } catch (...) {
    remove_unless_begun(folder);
    throw;
  }
}

// Calls f, in which a run goes on or is evaluated. What is thrown may recommend an option that a run keeps, so that what to do
// then is added.
template <class F> auto going_on(const F& f) {
  constexpr const char* otherwise =
      "; a run takes no other change than those that azimuth describe config says are for resume: otherwise train anew with "
      "azimuth train";
  try {
    return f();
  } catch (const std::bad_alloc&) {
    throw MemoryError(current_exception_text() + otherwise);
  } catch (Error& error) {
    const bool recommends =
        error.code() == Exit::config || error.code() == Exit::diverged || dynamic_cast<MemoryError*>(&error);
    if (recommends) error.add(otherwise);
    throw;
  }
}

Exit resume(const Arguments& arguments) {
  const RunConfig run = resumed_config(arguments.path, arguments.overrides);
  Experiment experiment = going_on([&] { return Experiment(run.now, Purpose::resuming); });
  Trainer trainer(experiment, arguments.path);
  const DType before = trainer.restore(run);
  print_machine_notes();
  print_precision_note(experiment.config, experiment.precision(), before);
  print_notes(notes_on_changes(run, experiment, trainer.state()));
  print_notes(experiment.notes);
  const TrainingResult result = going_on([&] { return trainer.run(); });
  report(result, arguments.path, arguments.json);
  return result.exit;
}

Exit evaluate_run(const Arguments& arguments) {
  const ExperimentConfig config = load_run_config(arguments.path, Purpose::evaluation);
  Experiment experiment = going_on([&] { return Experiment(config, Purpose::evaluation); });
  const std::string which = arguments.checkpoint.empty() ? best_or_last(arguments.path) : arguments.checkpoint;
  const Checkpoint checkpoint = load_checkpoint(arguments.path + "/checkpoints/" + which);
  experiment.model->load_state(checkpoint.weights());
  use_algorithms(experiment.config, checkpoint.algorithms);
  experiment.use_precision(checkpoint.state.precision);
  print_precision_note(experiment.config, experiment.precision(), checkpoint.state.precision);
  MetricFields fields = {
      {"run", arguments.path}, {"checkpoint", which}, {"epochs", checkpoint.state.epochs}, {"step", checkpoint.state.step}};
  const auto show = [&](const std::string& name, data::Loader& loader) {
    const Score score = going_on([&] { return evaluate(*experiment.model, loader, experiment.config.train.evaluation); });
    add_score(fields, name, score);
    if (!arguments.json) {
      fmt::print("{}: loss {:.4f}, accuracy {} %, top-5 {} % of {} images\n", name, score.loss(), percent(score.accuracy()),
                 percent(score.top5_accuracy()), score.images);
    }
  };
  const TrainingState& state = checkpoint.state;
  if (!arguments.json) {
    const std::string part = state.batches > 0 ? fmt::format(" and {} batches", state.batches) : "";
    say("{} checkpoint, after {} epochs{}", which, state.epochs, part);
  }
  if (experiment.validation) show("validation", *experiment.validation);
  show("test", experiment.test);
  if (arguments.json) fmt::print("{}", metrics_line("eval", fields));
  return Exit::done;
}

}  // namespace

void add_train_commands(CommandDeclaration& program, Outcome& outcome) {
  auto arguments = std::make_shared<Arguments>();

  CommandDeclaration train_command = program.command("train", "Train from a config, in a new run folder");
  train_command.needs("config", arguments->path, config_file, "the experiment, a JSON file");
  train_command.takes_changes(arguments->overrides, "change an option: --set optimizer.lr=0.05");
  train_command.takes("--run", arguments->run, any_folder, "run folder to make; by default runs/<name>");
  train_command.takes_flag("--json", arguments->json, "print the result as JSON");
  train_command.runs([=, &outcome] { outcome.exit = train(*arguments, outcome.command_line); });

  CommandDeclaration resume_command = program.command("resume", "Continue a run from its last checkpoint");
  resume_command.needs("run", arguments->path, run_folder, "the run's folder");
  resume_command.takes_changes(arguments->overrides, "change what may change on resume: --set train.epochs=60");
  resume_command.takes_flag("--json", arguments->json, "print the result as JSON");
  resume_command.runs([=, &outcome] { outcome.exit = resume(*arguments); });

  CommandDeclaration eval_command = program.command("eval", "Measure a run's network on the test set");
  eval_command.needs("run", arguments->path, run_folder, "the run's folder");
  eval_command.takes("--checkpoint", arguments->checkpoint, {"best", "last"},
                     "best or last; by default best, where there is one");
  eval_command.takes_flag("--json", arguments->json, "print the result as JSON");
  eval_command.runs([=, &outcome] { outcome.exit = evaluate_run(*arguments); });
}

}  // namespace az::cli
