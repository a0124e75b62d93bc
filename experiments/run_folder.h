#pragma once

#include <string>

#include "core/dtype.h"

namespace az::experiments {

// `wanted` without slashes at its end and parts that are a dot. Throws ConfigError when something of that name exists, or cannot exist.
std::string check_run_folder(std::string wanted);
// Makes runs/<name>, or runs/<name>-2, -3 ... when that is taken, and says which; or `wanted` if not empty, which must not exist
// yet (ConfigError). Throws ConfigError when it cannot be written to.
std::string create_run_folder(const std::string& name, const std::string& wanted = "");

// How a run was started.
struct Start {
  std::string command;
  std::string commit;  // that the program was built from
  DType precision;     // really used at first; a checkpoint names its own
};
// environment.json: that, the date, processor, threads, libraries and compiler, as indented JSON.
std::string environment_json(const Start& start);

}  // namespace az::experiments
