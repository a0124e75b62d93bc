#include "experiments/cli/program.h"

#include <fmt/core.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <new>
#include <vector>

#include "core/ascii.h"
#include "core/backend/startup.h"
#include "core/config/nearest.h"
#include "experiments/cli/commands.h"
#include "experiments/experiment.h"

namespace az::cli {
namespace {

void check_command_name(const CLI::App& app, int argc, char** argv) {
  if (argc < 2) throw ConfigError("a command is missing; see azimuth --help");
  if (argv[1][0] == '-') return;
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands(nullptr)) names.push_back(command->get_name());
  for (const std::string& name : names) {
    if (name == argv[1]) return;
  }
  throw ConfigError(fmt::format("unknown command \"{}\"{}; see azimuth --help", argv[1], config::did_you_mean(argv[1], names)));
}

// As it can be given to a shell again.
std::string quoted(const std::string& word) {
  const auto plain = [](char c) { return is_letter(c) || is_digit(c) || std::strchr("-_./=,:+@%", c); };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return word;
  std::string result = "'";
  for (char c : word) result += c == '\'' ? "'\\''" : std::string(1, c);
  return result + "'";
}

Exit run_command(int argc, char** argv) {
  Outcome outcome;
  for (int i = 0; i < argc; ++i) outcome.command_line += (i ? " " : "") + quoted(argv[i]);
  CLI::App app("Azimuth: train networks on CPUs from JSON files and watch the lengths of their weights.", "azimuth");
  app.set_version_flag("--version", "azimuth " AZIMUTH_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(36);
  add_train_commands(app, outcome);
  add_inspect_commands(app, outcome);
  add_sweep_command(app, outcome);
  add_bench_command(app, outcome);
  add_report_command(app, outcome);
  add_invariance_command(app, outcome);
  add_data_command(app, outcome);
  add_doctor_command(app, outcome);
  add_lesson_command(app, outcome);
  check_command_name(app, argc, argv);
  experiments::register_builtin();
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    app.exit(success);  // --help and --version
  } catch (const CLI::ParseError& error) {
    throw ConfigError(fmt::format("{}; see azimuth --help", error.what()));
  }
  if (const std::string note = tuning_note(); !note.empty()) fmt::print(stderr, "azimuth: note: {}\n", note);
  return outcome.exit;
}

}  // namespace

std::string named(const std::string& text) { return text.empty() ? "is empty; give a name or leave it out" : ""; }

std::function<std::string(const std::string&)> between(int64_t least, int64_t most) {
  return [=](const std::string& text) -> std::string {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && *end == '\0' && number >= least && number <= most) return "";
    return fmt::format("must be a whole number from {} to {}, got {}", least, most, text);
  };
}

int run(int argc, char** argv) {
  restart_with_startup_variables(argv);
  // Unlike fmt::print, this does not throw where stderr takes nothing, such as a file on a disk that is full.
  const auto say = [](const std::string& message) { std::fputs(("azimuth: " + message + "\n").c_str(), stderr); };
  try {
    return int(run_command(argc, argv));
  } catch (const Error& error) {
    say(error.what());
    return int(error.code());
  } catch (const std::bad_alloc&) {
    say("there is not enough memory; take smaller batches, a smaller network or fewer images");
  } catch (const std::exception& error) {
    say(fmt::format("unexpected: {}", error.what()));
  } catch (...) {
    say(fmt::format("unexpected: {}", current_exception_text()));
  }
  return int(Exit::failure);
}

}  // namespace az::cli
