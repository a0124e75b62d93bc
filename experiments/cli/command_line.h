#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}
namespace az::config {
class RegistryBase;
}

namespace az::cli {

// Kinds of argument: what --help calls it, and what a shell offers for it. What is typed for a file or a folder must not be
// empty, nor begin with a ~/ that the shell has not replaced.
inline constexpr const char *config_file = "CONFIG", *sweep_file = "SWEEP", *run_folder = "RUN", *any_file = "FILE",
                            *any_folder = "FOLDER", *set_option = "KEY=VALUE", *thing = "THING", *lesson_name = "LESSON",
                            *data_set = "DATASET", *any_text = "TEXT";

// An argument of a command: an option ("--run", "-o,--output"), a flag, which has no kind, or a positional one.
struct Argument {
  std::vector<std::string> names;
  std::string kind, description;
  bool positional = false, required = false, repeated = false;
  std::vector<std::string> words;  // all that may be given, where they are few
};

// A command as data: man page and completion in a shell are made of it.
struct Command {
  std::string name, description;
  std::vector<Argument> arguments;
  std::vector<Command> commands;
};

// Declares a command to the parser of the command line, CLI11, which only command_line.cpp and program.cpp know. An
// argument has a name, "run", and an option begins with dashes, "--run" or "-o,--output". What is typed goes to `to`, which
// has to live until then; what it holds before is the default.
class CommandDeclaration {
 public:
  explicit CommandDeclaration(CLI::App& app) : app_(app) {}

  // One more command in this one.
  CommandDeclaration command(const std::string& name, const std::string& description);
  // One of the commands in this one has to be typed.
  void needs_command();
  void needs(const std::string& name, std::string& to, const char* kind, const std::string& description);
  // One or more.
  void needs(const std::string& name, std::vector<std::string>& to, const char* kind, const std::string& description);
  void takes(const std::string& name, std::string& to, const char* kind, const std::string& description);
  // One of `words`.
  void takes(const std::string& name, std::string& to, const std::vector<std::string>& words, const std::string& description);
  // A whole number; from `least` to `most`.
  void takes(const std::string& name, int64_t& to, const std::string& description);
  void takes(const std::string& name, int64_t& to, int64_t least, int64_t most, const std::string& description);
  // --set KEY=VALUE, any number of times.
  void takes_changes(std::vector<std::string>& to, const std::string& description);
  void takes_flag(const std::string& name, bool& to, const std::string& description);
  // What is called when the command was typed.
  void runs(const std::function<void()>& f);

  // What is declared.
  Command as_data() const;

 private:
  CLI::App& app_;
};

// Everything with a name in JSON, by kind.
std::vector<const config::RegistryBase*> registries();

// The man page, in roff; the completion for a shell, "bash" or "zsh".
std::string man_page(const Command& program);
std::string completion(const Command& program, const std::string& shell);

}  // namespace az::cli
