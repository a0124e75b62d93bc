// azimuth report
#include "experiments/report/report.h"

#include <fmt/core.h>

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

// What all reports begin with (page/page.html).
constexpr Drawing drawing{"report that azimuth drew", "<!doctype html>", "script-src 'nonce-azimuth'"};

void report(const Arguments& arguments) {
  const bool is_named = !arguments.output.empty(), is_one = arguments.runs.size() == 1;
  const std::string output = is_named ? arguments.output
                             : is_one ? (std::filesystem::path(arguments.runs[0]) / "report.html").string()
                                      : "report.html";
  if (is_named) check_output("--output", output, drawing);
  const std::string page = report_html(arguments.runs, {.title = arguments.title});
  if (!is_named) check_output("the report", output, drawing);  // in the folder of a run, as it is now known to be
  write_file(output, page);
  if (!is_stdout(output)) fmt::print("The report lies in {}\n", output);
}

}  // namespace

void add_report_command(CommandDeclaration& program, Outcome&) {
  auto arguments = std::make_shared<Arguments>();
  CommandDeclaration command = program.command("report", "Draw runs in one HTML page that opens from disk");
  command.needs("runs", arguments->runs, run_folder, "the runs' folders");
  command.takes("-o,--output", arguments->output, any_file,
                "file to write; by default RUN/report.html, or report.html for several");
  command.takes("--title", arguments->title, any_text, "title of the page");
  command.runs([=] { report(*arguments); });
}

}  // namespace az::cli
