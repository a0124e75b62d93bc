#pragma once

#include <cstdint>
#include <string>

namespace az::experiments {

// Whole-file helpers. Each throws Error naming the path and the system's reason.
std::string read_file(const std::string& path);
// Written, flushed to the disk and closed; not atomic.
void write_file(const std::string& path, const std::string& content);
// Flushes a file or a folder's list of names to the disk.
void sync_path(const std::string& path);
// Puts folder `fresh` where `target` is (both in one folder), so that a complete `target` exists at every instant, and deletes
// the one that was there.
void replace_folder(const std::string& fresh, const std::string& target);

}  // namespace az::experiments
