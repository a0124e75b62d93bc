// azimuth invariance
#include <fmt/core.h>

#include <CLI/CLI.hpp>
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

void add_invariance_command(CLI::App& app, Outcome& outcome) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("invariance", "Say of which weights the length does not matter, by three judges");
  command->add_option("experiment", arguments->path, "a config, judged with fresh weights, or a run's folder")
      ->required()
      ->type_name(any_file)
      ->check(named);
  command->add_option("--set", arguments->overrides, "change an option of a config: --set seed=2")
      ->type_name(set_option)
      ->allow_extra_args(false);
  command->add_option("--checkpoint", arguments->checkpoint, "of a run: best or last")
      ->check(CLI::IsMember({"best", "last"}))
      ->capture_default_str();
  command->add_option("--batches", arguments->batches, "training batches on which SGDP's rule is tried")
      ->check(between(1, 1000))
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "print JSON, with the loss at each length");
  command->callback([=, &outcome] { outcome.exit = judge(*arguments); });
}

}  // namespace az::cli
