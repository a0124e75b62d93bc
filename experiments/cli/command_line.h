#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "core/config/registry.h"

// The commands of the program as data: what its man page and its completion in a shell are made of.
namespace az::cli {

// Kinds of argument, as an option's type_name(): what --help calls it, and what a shell offers for it.
inline constexpr const char *config_file = "CONFIG", *sweep_file = "SWEEP", *run_folder = "RUN", *any_file = "FILE",
                            *any_folder = "FOLDER", *set_option = "KEY=VALUE", *thing = "THING", *lesson_name = "LESSON",
                            *data_set = "DATASET";

// An argument of a command: an option ("--run", "-o,--output"), a flag, which has no kind, or a positional one.
struct Argument {
  std::vector<std::string> names;
  std::string kind, description;
  bool positional = false, required = false, repeated = false;
  std::vector<std::string> words;  // all that may be given, where they are few
};

struct Command {
  std::string name, description;
  std::vector<Argument> arguments;
  std::vector<Command> commands;
};

// What is declared to the parser.
Command command_of(const CLI::App& app);

// Everything with a name in JSON, by kind.
std::vector<const config::RegistryBase*> registries();

// The man page, in roff; the completion for a shell, "bash" or "zsh".
std::string man_page(const Command& program);
std::string completion(const Command& program, const std::string& shell);

}  // namespace az::cli
