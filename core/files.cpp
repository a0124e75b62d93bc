#include "core/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>
#include <thread>

namespace az {
namespace {

namespace fs = std::filesystem;

constexpr const char *cannot_read = "cannot be read", *cannot_write = "cannot be written", *cannot_lock = "cannot be locked";

std::error_code last_error() { return {errno, std::generic_category()}; }

// What a system call returns that no signal has cut short.
template <class Call> auto uninterrupted(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

// Devices, pipes and folders on some file systems have nothing to flush.
bool flush(int descriptor) {
  return uninterrupted([&] { return ::fsync(descriptor); }) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS;
}

std::string parent_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path().string() : "."; }

// What write_file is to replace.
struct Target {
  explicit Target(const std::string& given) : path(given) {
    std::error_code error;
    status = fs::status(path, error);
    // Links stay: what they lead to is replaced, or made. Those in /proc lead to what a process has opened.
    for (int links = 0; fs::is_symlink(path, error) && links < 40; ++links) {
      through |= fs::canonical(parent_of(path), error).string().starts_with("/proc/");
      path = parent_of(path) / fs::read_symlink(path, error);
    }
    through |= fs::exists(status) && !fs::is_regular_file(status);
    if (through) path = given;
  }

  fs::path path;
  fs::file_status status;  // of what was there
  bool through = false;    // written to as it is
};

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

FileError::FileError(const std::string& file, const char* what, int number)
    : Error(fmt::format("{}: {}: {}", file, what, std::strerror(number))), path(file), reason(number, std::generic_category()) {}

InputFile::InputFile(const std::string& path)
    : path_(path), descriptor_(uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); })) {
  if (descriptor_ < 0) throw FileError(path_, cannot_read, errno);
}

InputFile::~InputFile() { ::close(descriptor_); }

size_t InputFile::read(void* bytes, size_t count) {
  size_t done = 0;
  while (done < count) {
    const ssize_t got = uninterrupted([&] { return ::read(descriptor_, static_cast<char*>(bytes) + done, count - done); });
    if (got < 0) throw FileError(path_, cannot_read, errno);
    if (got == 0) break;
    done += size_t(got);
  }
  return done;
}

OutputFile::OutputFile(const std::string& path, std::string name_in_messages, int more_flags)
    : path_(path), name_(std::move(name_in_messages)), descriptor_(uninterrupted([&] {
        return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | more_flags, 0666);
      })) {
  if (descriptor_ < 0) throw FileError(name_, cannot_write, errno);
}

OutputFile::~OutputFile() { ::close(descriptor_); }

bool OutputFile::lock() {
  if (uninterrupted([&] { return ::flock(descriptor_, LOCK_EX | LOCK_NB); }) != 0) {
    if (errno == EWOULDBLOCK) return false;
    const bool none = errno == ENOLCK || errno == ENOTSUP || errno == ENOSYS || errno == EINVAL;
    if (!none) throw FileError(name_, cannot_lock, errno);
  }
  struct stat opened {
  }, named{};
  return ::fstat(descriptor_, &opened) == 0 && ::stat(path_.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

void OutputFile::write(const void* bytes, size_t count) {
  const SizeLimitIsAnError limit;
  for (size_t done = 0; done < count;) {
    const ssize_t put = uninterrupted([&] { return ::write(descriptor_, static_cast<const char*>(bytes) + done, count - done); });
    if (put < 0) {
      const int reason = errno;
      struct stat status {};
      if (done > 0 && ::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode)) {
        [[maybe_unused]] const int stays = ::ftruncate(descriptor_, status.st_size - off_t(done));
      }
      throw FileError(name_, cannot_write, reason);
    }
    done += size_t(put);
  }
}

void OutputFile::resize(int64_t bytes) {
  const SizeLimitIsAnError limit;
  if (uninterrupted([&] { return ::ftruncate(descriptor_, bytes); }) != 0) throw FileError(name_, cannot_write, errno);
}

void OutputFile::sync() {
  if (!flush(descriptor_)) throw FileError(name_, cannot_write, errno);
}

// What write_file writes until it is whole: this thread's alone. Deleted in the end, unless it was put in its place.
class FileBeside {
 public:
  FileBeside(const Target& target, const std::string& name) : target_(target.path), path_(target_.string() + ".part") {
    // A file that may not be written is not to be replaced, either.
    if (fs::exists(target.status) && ::faccessat(AT_FDCWD, target_.c_str(), W_OK, AT_EACCESS) != 0)
      throw FileError(name, cannot_write, errno);
    for (int tries = 0;; ++tries) {
      file_.reset(new OutputFile(path_, name, O_NOFOLLOW));
      if (file_->lock()) break;
      if (tries == 500) throw Error(name + ": another program is writing it; wait for its end, or end it");
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    try {
      file_->resize(0);
      if (fs::exists(target.status) && ::fchmod(file_->descriptor_, mode_t(target.status.permissions())) != 0)
        throw FileError(name, cannot_write, errno);
    } catch (...) {
      remove();
      throw;
    }
  }
  ~FileBeside() { remove(); }
  FileBeside(const FileBeside&) = delete;

  OutputFile& file() { return *file_; }
  void put_in_place() {
    file_->sync();
    if (::rename(path_.c_str(), target_.c_str()) != 0) throw FileError(file_->name_, cannot_write, errno);
    placed_ = true;
    // Where the folder cannot be flushed, the file is there all the same.
    [[maybe_unused]] const std::error_code unflushed = sync_path(parent_of(target_));
  }

 private:
  void remove() const {
    if (!placed_) ::unlink(path_.c_str());
  }

  fs::path target_;
  std::string path_;
  std::unique_ptr<OutputFile> file_;
  bool placed_ = false;
};

std::string read_file(const std::string& path) {
  InputFile file(path);
  std::string content;
  std::array<char, 1 << 16> block;
  for (size_t got = block.size(); got == block.size();) content.append(block.data(), got = file.read(block.data(), block.size()));
  return content;
}

void read_lines(const std::string& path, const std::function<void(std::string_view line)>& take) {
  InputFile file(path);
  std::string line;
  std::array<char, 1 << 16> block;
  for (size_t got = block.size(); got == block.size();) {
    got = file.read(block.data(), block.size());
    for (std::string_view rest(block.data(), got); !rest.empty();) {
      const size_t end = rest.find('\n'), length = end == rest.npos ? rest.size() : end + 1;
      line += rest.substr(0, length);
      rest.remove_prefix(length);
      if (end == rest.npos) break;
      take(line);
      line.clear();
    }
  }
  if (!line.empty()) take(line);
}

void write_file(const std::string& path, const std::function<void(const Put&)>& write) {
  const auto write_to = [&](OutputFile& file) { write([&](const void* bytes, size_t count) { file.write(bytes, count); }); };
  const Target target(path);
  if (target.through) {
    OutputFile file(path);
    write_to(file);
    return file.sync();
  }
  FileBeside beside(target, path);
  write_to(beside.file());
  beside.put_in_place();
}

void write_file(const std::string& path, std::string_view content) {
  write_file(path, [&](const Put& put) { put(content.data(), content.size()); });
}

void check_writable(const std::string& path) {
  const Target target(path);
  if (!target.through) {
    const FileBeside tried(target, path);
  } else if (fs::is_directory(target.status)) {
    throw FileError(path, cannot_write, EISDIR);
  } else if (::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0) {
    throw FileError(path, cannot_write, errno);
  }
}

void delete_unfinished_files(const std::string& folder) {
  std::error_code stays;
  for (const auto& entry : fs::directory_iterator(folder, stays)) {
    if (entry.path().extension() != ".part" || !fs::is_regular_file(entry.symlink_status(stays))) continue;
    try {
      OutputFile file(entry.path().string());
      if (file.lock()) fs::remove(entry.path(), stays);
    } catch (const FileError&) {}
  }
}

std::error_code sync_path(const std::string& path) {
  const int descriptor = uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); });
  if (descriptor < 0) return last_error();
  const std::error_code error = flush(descriptor) ? std::error_code() : last_error();
  ::close(descriptor);
  return error;
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

SizeLimitIsAnError::SizeLimitIsAnError() {
  ::sigemptyset(&signal_);
  ::sigaddset(&signal_, SIGXFSZ);
  ::pthread_sigmask(SIG_BLOCK, &signal_, &before_);
}

SizeLimitIsAnError::~SizeLimitIsAnError() {
  const int reason = errno;
  const timespec now{};
  // The signal was raised for this thread. It is taken back, unless another waited for it before.
  if (!::sigismember(&before_, SIGXFSZ)) ::sigtimedwait(&signal_, nullptr, &now);
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  errno = reason;
}

}  // namespace az
