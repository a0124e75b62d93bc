#pragma once

#include <signal.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>

#include "core/base/error.h"

namespace az {

// What cannot be done with a file, and the system's reason: "<path>: cannot be written: No space left on device".
struct FileError : Error {
  FileError(const std::string& path, const char* what, int number);
  std::string path;
  std::error_code reason;
};

// A file to read from front to end. Throws FileError.
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  // Throws Error for a device, such as /dev/zero, which may have no end.
  void check_ends() const;
  // How many bytes there were: fewer than `count` only where the file ends.
  size_t read(void* bytes, size_t count);

 private:
  std::string path_;
  int descriptor_;
};

// A file to append to; it is made where there is none. Throws FileError.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path) : OutputFile(path, path, 0) {}
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  // Locks the file while this lives, where the file system has locks. False where another holds it, or it is no longer there.
  bool lock();
  // Appends all the bytes; where that fails, none of them stay in a regular file.
  void write(const void* bytes, size_t count);
  void write(std::string_view text) { write(text.data(), text.size()); }
  // Leaves a regular file its first bytes only.
  void resize(int64_t bytes);
  // Flushes what was written to the disk.
  void sync();

 private:
  friend class FileBeside;
  OutputFile(const std::string& path, std::string name_in_messages, int more_flags);

  std::string path_, name_;
  int descriptor_;
};

// The whole file, which is no device. Throws FileError.
std::string read_file(const std::string& path);
// Calls take(line) with each line, including the end that only the last may lack. Throws FileError.
void read_lines(const std::string& path, const std::function<void(std::string_view line)>& take);

// Writes bytes to a file, or throws.
using Put = std::function<void(const void* bytes, size_t count)>;

// Makes or replaces the file `path` with what write(put) puts: written beside, under a name that names_unfinished_file(),
// flushed to the disk and renamed, so that what was there stays until the new is whole; its rights pass on. A device or a pipe
// is written to as it is. Throws FileError.
void write_file(const std::string& path, const std::function<void(const Put&)>& write);
void write_file(const std::string& path, std::string_view content);
// Throws the FileError that write_file would throw now, as far as that can be known; leaves no trace.
void check_writable(const std::string& path);
// Deletes from a folder what processes have left which were killed in write_file; where there are no locks, nobody can tell,
// and it stays.
void delete_unfinished_files(const std::string& folder);
// Says whether a name is that of such a file; nobody else gives these: ".azimuth-<process>-<number>.part".
bool names_unfinished_file(const std::string& name);

// Says whether something is there; links are followed. Throws FileError where the system cannot tell, as in a folder that may
// not be entered.
bool is_there(const std::string& path);

// Makes a folder, and those above it that are missing. One that is there is no error.
[[nodiscard]] std::error_code make_folders(const std::string& path);

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

// While one lives, what this thread writes beyond the limit on the size of files (ulimit -f) fails with EFBIG. It would raise
// SIGXFSZ otherwise, which ends a program.
class SizeLimitIsAnError {
 public:
  SizeLimitIsAnError();
  ~SizeLimitIsAnError();
  SizeLimitIsAnError(const SizeLimitIsAnError&) = delete;

 private:
  sigset_t signal_, before_;
};

}  // namespace az
