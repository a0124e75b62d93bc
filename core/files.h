#pragma once

#include <functional>
#include <string>
#include <system_error>

namespace az {

// Writes bytes to a file, or throws.
using Put = std::function<void(const void* bytes, size_t count)>;

// Makes or replaces the file `path` with what write(put) puts: written beside, flushed to the disk and renamed, so that what was
// there stays until the new is whole; its rights pass on. A device or a pipe is written to as it is. Throws Error "<path>: cannot
// be written: ...".
void replace_file(const std::string& path, const std::function<void(const Put&)>& write);

// `path` from the root on, counted from the current folder; without "." and a slash at its end, and with links as they are.
std::string absolute_path(const std::string& path);

// Flushes a file, or a folder's list of names, to the disk; what cannot be flushed, such as a folder on some file systems, is
// no error.
[[nodiscard]] std::error_code sync_path(const std::string& path);

// Paths on one file system.
struct FolderReplacement {
  std::string fresh, target;
  std::string aside;  // where what was at the target waits, for an instant, where the file system cannot exchange names
};
// Puts the folder `fresh` where `target` is, so that a complete one exists at every instant, and deletes what was there and
// anything at `aside`. After an error what was there is there still, or the fresh is.
[[nodiscard]] std::error_code replace_folder(const FolderReplacement& paths);

}  // namespace az
