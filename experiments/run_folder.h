#pragma once

#include <string>

#include "core/tensor/dtype.h"

namespace az::experiments {

// `wanted` without slashes at its end and parts that are a dot. Throws ConfigError when something of that name exists, or
// cannot exist.
std::string check_run_folder(std::string wanted);
// Makes runs/<name>, or runs/<name>-2, -3 ... when that is taken, and says which; or `wanted` if not empty, which must not
// exist yet (ConfigError). Throws ConfigError when it cannot be written to.
std::string create_run_folder(const std::string& name, const std::string& wanted = "");
// Puts in order what a kill or a failed delete has left in the folder of a run to which nobody else writes: a checkpoint that
// was set aside comes back, half a checkpoint or one that was replaced goes, and so do files that were being written beside
// others.
void clear_leftovers(const std::string& folder);

// Writes a file of a run, unless it holds the text already.
void replace_text(const std::string& file, const std::string& text);

// How a run was started.
struct Start {
  std::string command;
  std::string commit;  // that the program was built from
  DType precision;     // really used at first; a checkpoint names its own
};
// environment.json: that, the folder where it was started, the date, processor, threads, libraries and compiler, as indented
// JSON.
std::string environment_json(const Start& start);

}  // namespace az::experiments
