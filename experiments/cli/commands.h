#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/tensor/dtype.h"
#include "experiments/cli/command_line.h"

namespace az::experiments {
struct ExperimentConfig;
}

namespace az::cli {

// What a command leaves behind.
struct Outcome {
  Exit exit = Exit::done;
  std::string command_line;  // as typed, for a run's environment.json
};

// The commit that this program was built from, with "-dirty" where files were changed; "unknown" without git.
std::string source_commit();

// Calls write(), which makes a file beside what a command prints. Says whether it was made, and on stderr why not.
bool has_written(const std::function<void()>& write);

// What a command writes into a file that its user names. Its first bytes, `beginning`, and a text near them, `mark`, tell it
// from other files.
struct Drawing {
  const char *what, *beginning, *mark;
};
// Throws ConfigError where the file that an option names is there already and is no such drawing, which would be lost; and
// FileError where it cannot be read, or written.
void check_output(const std::string& option, const std::string& path, const Drawing& drawing);
// Says whether what is printed goes to that file, too.
bool is_stdout(const std::string& path);

// Prints on stderr a line for each thing that makes training on this machine slower than it could be.
void print_machine_notes();
// Prints each of these on stderr.
void print_notes(const std::vector<std::string>& notes);
// Prints a note on stderr where the number type of activations is `now`, and the config wants another, or the checkpoint had
// another `before`.
void print_precision_note(const experiments::ExperimentConfig& config, DType now, std::optional<DType> before = {});

// Each adds its commands to `program`; the commands write to `outcome`.
void add_train_commands(CommandDeclaration& program, Outcome& outcome);    // train, resume, eval
void add_inspect_commands(CommandDeclaration& program, Outcome& outcome);  // check, describe, schema
void add_sweep_command(CommandDeclaration& program, Outcome& outcome);     // sweep
void add_bench_command(CommandDeclaration& program, Outcome& outcome);     // bench
void add_report_command(CommandDeclaration& program, Outcome& outcome);    // report
void add_data_command(CommandDeclaration& program, Outcome& outcome);      // data get|list|path
void add_invariance_command(CommandDeclaration& program, Outcome& outcome);
void add_doctor_command(CommandDeclaration& program, Outcome& outcome);
void add_lesson_command(CommandDeclaration& program, Outcome& outcome);  // lesson

}  // namespace az::cli
