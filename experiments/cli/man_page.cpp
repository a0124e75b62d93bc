#include <fmt/format.h>

#include "experiments/cli/command_line.h"
#include "experiments/experiment.h"

namespace az::cli {
namespace {

// Text as roff takes it: a backslash and a hyphen are themselves, and no line begins with a request.
std::string text(const std::string& plain) {
  std::string result;
  for (const char c : plain) {
    if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";
    } else if ((c == '.' || c == '\'') && (result.empty() || result.back() == '\n')) {
      result += std::string("\\&") + c;
    } else {
      result += c;
    }
  }
  return result;
}

std::string synopsis(const Argument& argument) {
  if (argument.positional) {
    const std::string word = fmt::format("\\fI{}\\fR{}", text(argument.names[0]), argument.repeated ? "..." : "");
    return argument.required ? word : "[" + word + "]";
  }
  std::string names;
  for (const std::string& name : argument.names) names += (names.empty() ? "" : ", ") + ("\\fB" + text(name) + "\\fR");
  return argument.kind.empty() ? names : names + " \\fI" + text(argument.kind) + "\\fR";
}

void add_command(const Command& command, const std::string& path, std::string& page) {
  const std::string name = path + command.name;
  if (!command.commands.empty()) {
    for (const Command& inner : command.commands) add_command(inner, name + " ", page);
    return;
  }
  std::string line = fmt::format(".SS {}", text(name)), list;
  bool has_options = false;
  for (const Argument& argument : command.arguments) {
    if (argument.names.back() == "--help") continue;
    has_options |= !argument.positional;
    list += fmt::format(".TP\n{}\n{}\n", synopsis(argument), text(argument.description));
    if (argument.positional) line += " " + synopsis(argument);
  }
  page += fmt::format("{}{}\n.PP\n{}.\n{}", line, has_options ? " [\\fIoptions\\fR]" : "", text(command.description), list);
}

}  // namespace

std::string man_page(const Command& program) {
  std::string page = fmt::format(
      ".TH AZIMUTH 1 \"\" \"azimuth {}\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n\\fB{}\\fR \\fIcommand\\fR [\\fIarguments\\fR]\n"
      ".SH COMMANDS\nEach prints its arguments with \\fB\\-\\-help\\fR. Data go to stdout, all else to stderr.\n",
      AZIMUTH_VERSION, program.name, "train networks on CPUs from JSON files", program.name);
  for (const Command& command : program.commands) add_command(command, "", page);
  page += ".SH WHAT A CONFIG CAN NAME\n\\fBazimuth describe\\fR \\fItype\\fR shows the options of each.\n";
  for (const config::RegistryBase* registry : registries()) {
    page += fmt::format(".SS \"{}\"\n", text(registry->kind()));
    for (const std::string& name : registry->names())
      page += fmt::format(".TP\n\\fB{}\\fR\n{}\n", text(name), text(registry->at(name).description));
  }
  page += ".SH THE KEYS OF A CONFIG\nThe key, what it takes, its default, what it must be, and what it means.\n.nf\n";
  page += text(config::describe<experiments::ExperimentConfig>()) + ".fi\n";
  page += ".SH EXIT STATUS\n";
  for (const auto& [code, meaning] : {std::pair{"0", "done"},
                                      {"1", "a failure"},
                                      {"2", "wrong usage, or a config that cannot be meant"},
                                      {"3", "data that are missing or damaged"},
                                      {"4", "a training that diverged"},
                                      {"130, 143", "ended by SIGINT or SIGTERM, after saving"}})
    page += fmt::format(".TP\n{}\n{}\n", code, meaning);
  return page;
}

}  // namespace az::cli
