#include "core/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

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

// Devices, pipes and folders on some file systems have nothing to flush.
bool flush(const File& file) { return ::fsync(file.descriptor) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS; }

[[noreturn]] void fail_write(const std::string& path) { throw Error(path + ": cannot be written: " + std::strerror(errno)); }

void write_through(const std::string& path, const std::string& into, const std::function<void(const Put&)>& write,
                   std::optional<fs::perms> rights = {}) {
  File file{::open(into.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
  if (file.descriptor < 0 || (rights && ::fchmod(file.descriptor, mode_t(*rights)) != 0)) fail_write(path);
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
  if (!flush(file)) fail_write(path);
}

std::error_code last_error() { return {errno, std::generic_category()}; }

std::string parent_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path().string() : "."; }

}  // namespace

std::string absolute_path(const std::string& path) {
  std::error_code nowhere;  // where the current folder was deleted
  fs::path result = fs::current_path(nowhere);
  if (nowhere) return path;
  // The current folder's path is without links, so that ".." at the start leads to its parent. What it leads to later depends on
  // links, and it stays.
  bool start = true;
  for (const fs::path& part : fs::path(path)) {
    if (part.empty() || part == ".") continue;
    start = start && (part == ".." || part.is_absolute());
    result = start && part == ".." ? result.parent_path() : result / part;
  }
  return result.string();
}

std::error_code sync_path(const std::string& path) {
  const File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.descriptor < 0 || !flush(file)) return last_error();
  return {};
}

std::error_code replace_folder(const FolderReplacement& paths) {
  const auto& [fresh, target, aside] = paths;
  if (const auto error = sync_path(fresh)) return error;
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(target, ignored))) {
    if (::rename(fresh.c_str(), target.c_str()) != 0) return last_error();
  } else if (::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) != 0) {
    fs::remove_all(aside, ignored);
    if (::rename(target.c_str(), aside.c_str()) != 0) return last_error();
    if (::rename(fresh.c_str(), target.c_str()) != 0) {
      const auto error = last_error();
      ::rename(aside.c_str(), target.c_str());
      return error;
    }
  }
  if (const auto error = sync_path(parent_of(target))) return error;
  fs::remove_all(fresh, ignored);
  fs::remove_all(aside, ignored);  // of this time, or left by a crash
  return {};
}

void replace_file(const std::string& path, const std::function<void(const Put&)>& write) {
  std::error_code error;
  // Where links lead: they stay.
  fs::path target = fs::canonical(path, error);
  if (error) target = path;
  const fs::file_status before = fs::status(target, error);
  if (fs::exists(before) && !fs::is_regular_file(before)) return write_through(path, path, write);
  const std::string beside = target.string() + "." + std::to_string(::getpid()) + ".part";
  try {
    write_through(path, beside, write, fs::exists(before) ? std::optional(before.permissions()) : std::nullopt);
    if (::rename(beside.c_str(), target.c_str()) != 0) fail_write(path);
  } catch (...) {
    fs::remove(beside, error);
    throw;
  }
  error = sync_path(parent_of(target));  // where that cannot be, the file is there all the same
}

}  // namespace az
