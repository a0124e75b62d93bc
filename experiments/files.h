#pragma once

#include <cstdint>
#include <string>

namespace az::experiments {

// Whole-file helpers. Each throws Error naming the path and the system's reason.
std::string read_file(const std::string& path);
// Written, flushed to the disk and closed; not atomic.
void write_file(const std::string& path, const std::string& content);

}  // namespace az::experiments
