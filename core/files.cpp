#include "core/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/error.h"

namespace az {
namespace {

namespace fs = std::filesystem;

// A descriptor that closes itself.
struct File {
  int descriptor;
  ~File() {
    if (descriptor >= 0) ::close(descriptor);
  }
};

[[noreturn]] void fail_write(const std::string& path) { throw Error(path + ": cannot be written: " + std::strerror(errno)); }

void write_through(const std::string& path, const std::string& into, const std::function<void(const Put&)>& write) {
  File file{::open(into.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
  if (file.descriptor < 0) fail_write(path);
  write([&](const void* source, size_t count) {
    auto* bytes = static_cast<const char*>(source);
    while (count > 0) {
      ssize_t done = ::write(file.descriptor, bytes, count);
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) fail_write(path);
      bytes += done;
      count -= size_t(done);
    }
  });
  // Devices and pipes have nothing to flush.
  if (::fsync(file.descriptor) != 0 && errno != EINVAL && errno != EROFS) fail_write(path);
}

}  // namespace

void replace_file(const std::string& path, const std::function<void(const Put&)>& write) {
  std::error_code error;
  // Where links lead: they stay.
  fs::path target = fs::canonical(path, error);
  if (error) target = path;
  if (fs::exists(target, error) && !fs::is_regular_file(target, error)) return write_through(path, path, write);
  const std::string beside = target.string() + "." + std::to_string(::getpid()) + ".part";
  try {
    write_through(path, beside, write);
    if (::rename(beside.c_str(), target.c_str()) != 0) fail_write(path);
  } catch (...) {
    fs::remove(beside, error);
    throw;
  }
  // The folder's list of names, too; where a file system cannot, the file is there all the same.
  const fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
  if (File names{::open(folder.c_str(), O_RDONLY | O_CLOEXEC)}; names.descriptor >= 0) ::fsync(names.descriptor);
}

}  // namespace az
