#pragma once

#include <string>

namespace az::experiments {

// Makes runs/<name>, or runs/<name>-2, -3 ... when that is taken, and says which; or `wanted` if not empty, which must not exist
// yet (ConfigError). Throws ConfigError when it cannot be written to.
std::string create_run_folder(const std::string& name, const std::string& wanted = "");

// environment.json: processor, threads, libraries and compiler, commit, date and command, as indented JSON.
std::string environment_json(const std::string& command);

}  // namespace az::experiments
