#pragma once

#include <string>

#include "core/dtype.h"

namespace az::experiments {

// Makes runs/<name>, or runs/<name>-2, -3 ... when that is taken, and says which; or `wanted` if not empty, which must not exist
// yet (ConfigError). Throws ConfigError when it cannot be written to.
std::string create_run_folder(const std::string& name, const std::string& wanted = "");

// environment.json: processor, threads, libraries and compiler, commit, date, command and the precision really used, as indented
// JSON.
std::string environment_json(const std::string& command, DType precision);

}  // namespace az::experiments
