#include "experiments/cli/program.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <new>
#include <sstream>
#include <system_error>
#include <vector>

#include "core/backend/startup.h"
#include "core/base/files.h"
#include "core/config/nearest.h"
#include "experiments/cli/commands.h"
#include "experiments/experiment.h"
#include "experiments/say.h"

namespace az::cli {
namespace {

using experiments::quoted;
using experiments::say;

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

// What was typed, last word first as CLI11 takes it, with a --set before each further KEY=VALUE behind one.
std::vector<std::string> words_of(int argc, char** argv) {
  std::vector<std::string> words;
  bool sets = false;  // whether a pair may follow
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const size_t equals = word.find('=');
    // Keys have no slash; a sweep's runs may be called seed=1.
    std::error_code unknown;
    const bool pair =
        word[0] != '-' && equals != std::string::npos && word.find('/') >= equals && !std::filesystem::exists(word, unknown);
    if (sets && pair && words.back() != "--set") words.push_back("--set");
    sets = word == "--set" || word.starts_with("--set=") || (sets && (pair || words.back() == "--set"));
    words.push_back(word);
  }
  return {words.rbegin(), words.rend()};
}

Exit run_command(int argc, char** argv) {
  Outcome outcome;
  for (int i = 0; i < argc; ++i) outcome.command_line += (i ? " " : "") + quoted(argv[i]);
  CLI::App app("Azimuth: train networks on CPUs from JSON files and watch the lengths of their weights.", "azimuth");
  app.set_version_flag("--version", "azimuth " AZIMUTH_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(36);
  CommandDeclaration program(app);
  add_train_commands(program, outcome);
  add_inspect_commands(program, outcome);
  add_sweep_command(program, outcome);
  add_bench_command(program, outcome);
  add_report_command(program, outcome);
  add_invariance_command(program, outcome);
  add_data_command(program, outcome);
  add_doctor_command(program, outcome);
  add_lesson_command(program, outcome);
  check_command_name(app, argc, argv);
  experiments::register_builtin();
  try {
    app.parse(words_of(argc, argv));
  } catch (const CLI::Success& success) {
    std::ostringstream text;  // of --help or --version
    app.exit(success, text);
    fmt::print("{}", text.str());
  } catch (const CLI::ParseError& error) {
    throw ConfigError(fmt::format("{}; see azimuth --help", error.what()));
  }
  if (const std::string note = tuning_note(); !note.empty()) say("azimuth: note: {}", note);
  return outcome.exit;
}

// A file opened later would get the number of a stream that was closed (>&-), and what is printed would go into it. What stands
// for the stream cannot be read, or written, either.
void fill_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) < 0) [[maybe_unused]]
      const int filled = ::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

}  // namespace

bool is_stdout(const std::string& path) {
  struct stat file {
  }, out{};
  return ::stat(path.c_str(), &file) == 0 && ::fstat(STDOUT_FILENO, &out) == 0 && file.st_dev == out.st_dev &&
         file.st_ino == out.st_ino;
}

void check_output(const std::string& option, const std::string& path, const Drawing& drawing) {
  std::error_code unknown;
  if (std::filesystem::is_regular_file(path, unknown) && !is_stdout(path)) {
    std::string start(2000, '\0');
    start.resize(InputFile(path).read(start.data(), start.size()));
    if (!start.starts_with(drawing.beginning) || start.find(drawing.mark) == std::string::npos)
      throw ConfigError(fmt::format("{} {}: this file is there already and is no {}; choose another name, or remove it", option,
                                    path, drawing.what));
  }
  check_writable(path);
}

bool has_written(const std::function<void()>& write) {
  try {
    write();
    return true;
  } catch (const FileError& error) {
    say("azimuth: {}", error.what());
    return false;
  }
}

int run(int argc, char** argv) {
  fill_closed_streams();
  restart_with_startup_variables(argv);
  // What cannot be written is told of, and does not end the program by a signal.
  std::signal(SIGXFSZ, SIG_IGN);
  const auto on_broken_pipe = std::signal(SIGPIPE, SIG_IGN);
  try {
    const Exit exit = run_command(argc, argv);
    if (std::fflush(stdout) != 0 && exit == Exit::done) throw std::system_error(errno, std::generic_category());
    return int(exit);
  } catch (const Error& error) {
    say("azimuth: {}", current_exception_text());
    return int(error.code());
  } catch (const std::bad_alloc&) {
    say("azimuth: {}", current_exception_text());
  } catch (const std::filesystem::filesystem_error& error) {
    say("azimuth: {}: {}", error.path1().string(), error.code().message());
  } catch (const std::system_error& error) {
    if (!std::ferror(stdout)) {
      say("azimuth: unexpected: {}", error.what());
    } else {
      // Whoever read this has seen enough: as other programs do, this one ends without a word.
      if (error.code() == std::errc::broken_pipe && std::signal(SIGPIPE, on_broken_pipe) != SIG_ERR) std::raise(SIGPIPE);
      say("azimuth: stdout cannot be written: {}", error.code().message());
    }
  } catch (...) {
    say("azimuth: unexpected: {}", current_exception_text());
  }
  return int(Exit::failure);
}

}  // namespace az::cli
