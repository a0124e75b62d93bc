// azimuth invariance
#include <fmt/core.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "experiments/cli/command_line.h"
#include "experiments/cli/commands.h"
#include "experiments/invariance/scorecard.h"
#include "experiments/say.h"

namespace az::cli {
namespace {

using namespace experiments;

struct Arguments {
  std::string path;  // of a config or a run
  std::vector<std::string> overrides;
  std::string checkpoint = "last";
  int64_t batches = 16;
  bool json = false;
};

Exit judge(const Arguments& arguments) {
  std::error_code unknown;
  const std::filesystem::file_type type = std::filesystem::status(arguments.path, unknown).type();
  if (type == std::filesystem::file_type::none)
    throw ConfigError(fmt::format("{}: cannot be read: {}", arguments.path, unknown.message()));
  const bool is_run = type == std::filesystem::file_type::directory;
  if (is_run && !arguments.overrides.empty()) throw ConfigError("--set: a run has its config already; give the config instead");
  const Scorecard scorecard = is_run ? judge_run(arguments.path, arguments.batches, arguments.checkpoint)
                                     : judge_config(load_config(arguments.path, arguments.overrides), arguments.batches);
  const bool written = has_written([&] {
    if (is_run) say("written to {}", write_scorecard(scorecard, arguments.path));
  });
  fmt::print("{}", arguments.json ? to_json(scorecard) : table(scorecard));
  return written ? Exit::done : Exit::failure;
}

}  // namespace

void add_invariance_command(CommandDeclaration& program, Outcome& outcome) {
  auto arguments = std::make_shared<Arguments>();
  CommandDeclaration command =
      program.command("invariance", "Say of which weights the length does not matter, by three judges");
  command.needs("experiment", arguments->path, any_file, "a config, judged with fresh weights, or a run's folder");
  command.takes_changes(arguments->overrides, "change an option of a config: --set seed=2");
  command.takes("--checkpoint", arguments->checkpoint, {"best", "last"}, "of a run: best or last");
  command.takes("--batches", arguments->batches, 1, 1000, "training batches on which SGDP's rule is tried");
  command.takes_flag("--json", arguments->json, "print JSON, with the loss at each length");
  command.runs([=, &outcome] { outcome.exit = judge(*arguments); });
}

}  // namespace az::cli
