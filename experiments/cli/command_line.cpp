#include "experiments/cli/command_line.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <set>
#include <string_view>

#include "core/config/registry.h"
#include "data/catalog.h"
#include "experiments/experiment.h"
#include "experiments/lessons/builtin.h"

namespace az::cli {
namespace {

// The options of a config, as --set names them: those of its sections and of all that a section can be.
std::vector<std::string> keys() {
  const config::ObjectType& experiment = config::object_type<experiments::ExperimentConfig>();
  std::set<std::string> found;
  const auto add = [&](const std::string& path, const config::ObjectType& type) {
    for (const std::string& name : type.names()) {
      if (name[0] != '$') found.insert((path.empty() ? "" : path + ".") + name + "=");  // "$schema" is for editors
    }
  };
  for (const std::string& section : experiment.names()) {
    for (const config::RegistryBase* registry : registries()) {
      for (const std::string& name : registry->names()) {
        const config::Value given(config::Value::Object{{section, config::Value::Object{{"type", name}}}});
        experiment.objects(&given, "", add);
      }
    }
  }
  return {found.begin(), found.end()};
}

std::vector<std::string> words_of(const std::string& kind) {
  std::vector<std::string> words;
  if (kind == set_option) return keys();
  if (kind == thing) {
    words = {"config", "sweep"};
    for (const config::RegistryBase* registry : registries()) {
      for (const std::string& name : registry->names()) words.push_back(name);
    }
  }
  if (kind == lesson_name) {
    for (const experiments::Lesson& lesson : experiments::lessons()) words.push_back(lesson.name);
  }
  if (kind == data_set) {
    for (const data::CatalogEntry& entry : data::catalog()) words.push_back(entry.name);
  }
  // CLI11 writes what IsMember allows behind the type: "TEXT:{config,sweep}".
  if (const size_t open = kind.find('{'); open != std::string::npos && kind.back() == '}') {
    for (size_t from = open + 1, end = from; end != std::string::npos && from < kind.size(); from = end + 1) {
      end = kind.find_first_of(",}", from);
      words.push_back(kind.substr(from, end - from));
    }
  }
  return words;
}

Argument argument_of(const CLI::Option& option) {
  Argument result;
  for (const std::string& name : option.get_snames()) result.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) result.names.push_back("--" + name);
  result.positional = option.get_positional();
  if (result.positional) result.names = {option.get_single_name()};
  result.description = option.get_description();
  if (option.get_items_expected_max() > 0) result.kind = option.get_type_name();
  result.words = words_of(result.kind);
  result.kind = result.kind.substr(0, result.kind.find(':'));
  result.required = option.get_required();
  result.repeated = option.get_items_expected_max() > 1;
  return result;
}

Command command_of(const CLI::App& app) {
  Command result{.name = app.get_name(), .description = app.get_description(), .arguments = {}, .commands = {}};
  for (const CLI::Option* option : app.get_options()) result.arguments.push_back(argument_of(*option));
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    result.commands.push_back(command_of(*command));
  return result;
}

std::string checked_path(const std::string& text) {
  if (text == "~" || text.starts_with("~/")) return "the shell did not replace ~ in " + text + "; write the path in full";
  return text.empty() ? "is empty; give a name or leave it out" : "";
}

template <class To>
CLI::Option* add(CLI::App& app, const std::string& name, To& to, const char* kind, const std::string& description) {
  CLI::Option* option = app.add_option(name, to, description)->type_name(kind);
  for (const std::string_view path : {config_file, sweep_file, run_folder, any_file, any_folder}) {
    if (kind == path) option->check(checked_path);
  }
  return option;
}

}  // namespace

CommandDeclaration CommandDeclaration::command(const std::string& name, const std::string& description) {
  return CommandDeclaration(*app_.add_subcommand(name, description));
}
void CommandDeclaration::needs_command() { app_.require_subcommand(1); }

void CommandDeclaration::needs(const std::string& name, std::string& to, const char* kind, const std::string& description) {
  add(app_, name, to, kind, description)->required();
}
void CommandDeclaration::needs(const std::string& name, std::vector<std::string>& to, const char* kind,
                               const std::string& description) {
  add(app_, name, to, kind, description)->required();
}
void CommandDeclaration::takes(const std::string& name, std::string& to, const char* kind, const std::string& description) {
  add(app_, name, to, kind, description);
}
void CommandDeclaration::takes(const std::string& name, std::string& to, const std::vector<std::string>& words,
                               const std::string& description) {
  app_.add_option(name, to, description)->check(CLI::IsMember(words))->capture_default_str();
}
void CommandDeclaration::takes(const std::string& name, int64_t& to, const std::string& description) {
  app_.add_option(name, to, description)->capture_default_str();
}
void CommandDeclaration::takes(const std::string& name, int64_t& to, int64_t least, int64_t most,
                               const std::string& description) {
  const auto between = [=](const std::string& text) -> std::string {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && *end == '\0' && number >= least && number <= most) return "";
    return fmt::format("must be a whole number from {} to {}, got {}", least, most, text);
  };
  app_.add_option(name, to, description)->check(between)->capture_default_str();
}
void CommandDeclaration::takes_changes(std::vector<std::string>& to, const std::string& description) {
  app_.add_option("--set", to, description)->type_name(set_option)->allow_extra_args(false);
}
void CommandDeclaration::takes_flag(const std::string& name, bool& to, const std::string& description) {
  app_.add_flag(name, to, description);
}
void CommandDeclaration::runs(const std::function<void()>& f) { app_.callback(f); }

Command CommandDeclaration::as_data() const { return command_of(app_); }

}  // namespace az::cli
