// azimuth report
#include "experiments/report/report.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <filesystem>
#include <memory>

#include "core/base/files.h"
#include "experiments/cli/command_line.h"
#include "experiments/cli/commands.h"

namespace az::cli {
namespace {

using namespace experiments;

struct Arguments {
  std::vector<std::string> runs;
  std::string output, title;
};

// Whether what is printed goes to that file, too.
bool is_stdout(const std::string& path) {
  struct stat file {
  }, out{};
  return ::stat(path.c_str(), &file) == 0 && ::fstat(STDOUT_FILENO, &out) == 0 && file.st_dev == out.st_dev &&
         file.st_ino == out.st_ino;
}

// Throws where a run would lose one of its files to the page.
void check_output(const Arguments& arguments) {
  namespace fs = std::filesystem;
  if (!is_there(arguments.output)) return;
  const fs::path output = fs::canonical(arguments.output);  // what a link leads to is written
  if (output.extension() == ".html") return;
  for (const std::string& run : arguments.runs) {
    if (!is_there(run)) continue;  // which is told where it is read
    const fs::path within = output.lexically_relative(fs::canonical(run));
    if (!within.empty() && *within.begin() != "..")
      throw ConfigError(fmt::format("--output {}: this is a file of the run {}; choose another, such as {}/report.html",
                                    arguments.output, run, run));
  }
}

void report(Arguments arguments) {
  if (!arguments.output.empty()) {
    check_output(arguments);
    check_writable(arguments.output);
  }
  const std::string page = report_html(arguments.runs, {.title = arguments.title});
  if (arguments.output.empty())
    arguments.output =
        arguments.runs.size() == 1 ? (std::filesystem::path(arguments.runs[0]) / "report.html").string() : "report.html";
  write_file(arguments.output, page);
  if (!is_stdout(arguments.output)) fmt::print("The report lies in {}\n", arguments.output);
}

}  // namespace

void add_report_command(CLI::App& app, Outcome&) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("report", "Draw runs in one HTML page that opens from disk");
  command->add_option("runs", arguments->runs, "the runs' folders")->required()->type_name(run_folder)->check(named);
  command->add_option("-o,--output", arguments->output, "file to write; by default RUN/report.html, or report.html for several")
      ->type_name(any_file)
      ->check(named);
  command->add_option("--title", arguments->title, "title of the page");
  command->callback([=] { report(*arguments); });
}

}  // namespace az::cli
