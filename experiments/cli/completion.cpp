#include <fmt/format.h>
#include <fmt/ranges.h>

#include "experiments/cli/command_line.h"

namespace az::cli {
namespace {

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

// Returns the text in single quotes, as both shells take them.
std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? "'\\''" : std::string(1, c);
  return result + "'";
}

// bash: a function that finds the command among the words before the cursor, then offers what may stand there by a second one.

// compgen's options for a kind of argument.
std::string bash_choice(const Argument& argument) {
  if (!argument.words.empty()) return "-W " + quoted(joined(argument.words));
  if (argument.kind == config_file || argument.kind == sweep_file) return "-f -X '!*.json'";
  if (argument.kind == run_folder || argument.kind == any_folder) return "-d";
  return argument.kind == any_file ? "-f" : "";
}

void add_bash(const Command& command, const std::string& path, std::string& paths, std::string& values, std::string& words) {
  std::string names, positional;
  for (const Argument& argument : command.arguments) {
    if (argument.positional) {
      positional += fmt::format("      $offer {}\n", bash_choice(argument));
      if (argument.kind == config_file || argument.kind == sweep_file) positional += "      $offer -d\n";
      continue;
    }
    names += " " + joined(argument.names);
    if (argument.kind.empty()) continue;
    for (const std::string& name : argument.names)
      values += fmt::format("    {}) $offer {}; return ;;\n", quoted(path + " " + name), bash_choice(argument));
  }
  for (const Command& inner : command.commands) names += " " + inner.name;
  words += fmt::format("    {})\n      $offer -W {}\n{}      ;;\n", quoted(path), quoted(names.substr(names.empty() ? 0 : 1)),
                       positional);
  for (const Command& inner : command.commands) {
    const std::string below = path + " " + inner.name;
    paths += fmt::format("      {}) command={} ;;\n", quoted(below), quoted(below));
    add_bash(inner, below, paths, values, words);
  }
}

std::string bash(const Command& program) {
  std::string paths, values, words;
  add_bash(program, program.name, paths, values, words);
  return fmt::format(R"(# Completion of {0} for bash, made by `{0} describe --as bash`.
# Adds what compgen finds by these options. Only what stands for files is quoted, and gets a slash where it is a folder.
_{0}_offer() {{
  (($#)) || return
  local count=${{#COMPREPLY[@]}}
  while IFS= read -r; do COMPREPLY+=("$REPLY"); done < <(compgen "$@" -- "$word")
  [[ $1 == -W ]] || ((${{#COMPREPLY[@]}} == count)) || compopt -o filenames
}}
_{0}() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} command={1} offer=_{0}_offer i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case "$command ${{COMP_WORDS[i]}}" in
{2}    esac
  done
  case "$command $before" in
{3}  esac
  case $command in
{4}  esac
}}
_{0}_and_space() {{
  _{0}
  [[ ${{COMPREPLY[0]-}} != *= ]] || compopt -o nospace
}}
complete -F _{0}_and_space {0}
)",
                     program.name, quoted(program.name), paths, values, words);
}

// zsh: a function for each command, of what _arguments and _describe take.

// A text within a specification, whose signs are [ ] and :.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) result += (c == '[' || c == ']' || c == ':' || c == '\\' ? "\\" : "") + std::string(1, c);
  return result;
}

std::string zsh_choice(const Argument& argument) {
  if (argument.kind == set_option) return "compadd -S \"\" - " + joined(argument.words);
  if (!argument.words.empty()) return "(" + joined(argument.words) + ")";
  if (argument.kind == config_file || argument.kind == sweep_file) return "_files -g \"*.json\"";
  if (argument.kind == run_folder || argument.kind == any_folder) return "_files -/";
  return argument.kind == any_file ? "_files" : " ";
}

std::string zsh_spec(const Argument& argument, const std::string& name, int& place) {
  const std::string choice = argument.kind.empty() ? "" : fmt::format(":{}:{}", escaped(argument.kind), zsh_choice(argument));
  if (!argument.positional)
    return quoted(fmt::format("{}{}[{}]{}", argument.repeated ? "*" : "", name, escaped(argument.description), choice));
  if (argument.repeated) return quoted("*" + choice);
  return quoted(fmt::format("{}{}", ++place, argument.required ? choice : ":" + choice));
}

void add_zsh(const Command& command, const std::string& function, std::string& text) {
  std::string specs;
  int place = 0;
  for (const Argument& argument : command.arguments) {
    for (const std::string& name : argument.names) specs += " \\\n    " + zsh_spec(argument, name, place);
  }
  if (command.commands.empty()) {
    text += fmt::format("{}() {{\n  _arguments -s{}\n}}\n", function, specs);
    return;
  }
  std::string names;
  for (const Command& inner : command.commands) {
    add_zsh(inner, function + "_" + inner.name, text);
    names += fmt::format("    {}\n", quoted(inner.name + ":" + escaped(inner.description)));
  }
  text += fmt::format(R"({0}() {{
  local curcontext=$curcontext state line
  local -a names=(
{1}  )
  _arguments -C{2} \
    '1:command:->names' '*::argument:->inner'
  case $state in
    names) _describe command names ;;
    inner) (( $+functions[{0}_$line[1]] )) && {0}_$line[1] ;;
  esac
}}
)",
                      function, names, specs);
}

std::string zsh(const Command& program) {
  std::string text = fmt::format("#compdef {0}\n# Completion of {0} for zsh, made by `{0} describe --as zsh`.\n", program.name);
  add_zsh(program, "_" + program.name, text);
  return text + fmt::format("_{} \"$@\"\n", program.name);
}

}  // namespace

std::string completion(const Command& program, const std::string& shell) {
  return shell == "zsh" ? zsh(program) : bash(program);
}

}  // namespace az::cli
