// azimuth sweep
#include <fmt/core.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "core/base/files.h"
#include "core/config/json_document.h"
#include "experiments/cli/command_line.h"
#include "experiments/cli/commands.h"
#include "experiments/say.h"
#include "experiments/sweep/runner.h"
#include "experiments/sweep/table.h"

namespace az::cli {
namespace {

using namespace experiments;

struct Arguments {
  std::string path;
  std::vector<std::string> overrides;
  SweepRunnerOptions runner;
  bool check = false, json = false;
};

// A line a run: its name, and how it stands.
Exit list(const Sweep& sweep, const std::string& folder) {
  check_sweep_folder(folder);
  Exit exit = Exit::done;
  for (const SweepRun& run : sweep.runs) {
    const Standing standing = standing_of(run, folder + "/" + run.name);
    fmt::print("{}  {}\n", run.name, name_of(standing.state));
    if (standing.failure.empty()) continue;
    say("azimuth: {}", standing.failure);
    exit = Exit::failure;
  }
  for (const std::string& line : sweep.legend) say("{}", line);
  say("{} runs, in {}{}", sweep.runs.size(), folder, exit == Exit::done ? ": ok" : "");
  return exit;
}

Exit run(Arguments arguments) {
  const Sweep sweep = load_sweep(arguments.path, arguments.overrides);
  std::string& folder = arguments.runner.folder;
  if (folder.empty()) folder = "runs/" + sweep.name;
  print_notes(sweep.notes);
  if (arguments.check) return list(sweep, folder);
  if (!sweep.description.empty()) say("{}", sweep.description);
  const SweepResult result = run_sweep(sweep, arguments.runner);
  const SweepTable table = sweep_table(sweep, result, folder);
  const bool csv = has_written([&] { write_file(folder + "/sweep.csv", table.csv()); });
  const bool html = has_written([&] { write_file(folder + "/sweep.html", table.html()); });
  fmt::print("{}", arguments.json ? config::dump(table.json(), 2) + "\n" : table.text());
  if (csv && html) say("The table lies in {0}/sweep.csv and {0}/sweep.html", folder);
  for (const std::string& sentence : table.left_out) say("azimuth: {}", sentence);
  if (result.exit == Exit::interrupted || result.exit == Exit::terminated)
    say("azimuth: stopped; the same command goes on from here");
  if (result.exit == Exit::failure) say("azimuth: some runs failed; the same command tries them again");
  const bool whole = table.left_out.empty() && csv && html;
  return result.exit == Exit::done && !whole ? Exit::failure : result.exit;
}

}  // namespace

void add_sweep_command(CommandDeclaration& program, Outcome& outcome) {
  auto arguments = std::make_shared<Arguments>();
  CommandDeclaration command =
      program.command("sweep", "Train the runs of a sweep file that are not done yet, and compare them");
  command.needs("sweep", arguments->path, sweep_file, "the sweep, a JSON file");
  command.takes_changes(arguments->overrides, "change an option in all runs: --set train.epochs=12");
  command.takes("--jobs", arguments->runner.jobs, 1, 1024, "runs at a time, which share the cores");
  command.takes("--folder", arguments->runner.folder, any_folder, "where the runs are kept; by default runs/<name>");
  command.takes_flag("--check", arguments->check,
                     "train nothing: only check all configs, and list the runs and how they stand");
  command.takes_flag("--json", arguments->json, "print the table as JSON");
  command.runs([=, &outcome] { outcome.exit = run(*arguments); });
}

}  // namespace az::cli
