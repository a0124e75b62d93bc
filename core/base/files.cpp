#include "core/base/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>

namespace az {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view unfinished_start = ".azimuth-", unfinished_end = ".part";
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
    status = fs::status(path, error);
    // Links stay: what they lead to is replaced, or made. Those in /proc lead to what a process has opened.
    std::error_code none;
    for (int links = 0; fs::is_symlink(path, none) && links < 40; ++links) {
      through |= fs::canonical(parent_of(path), none).string().starts_with("/proc/");
      path = parent_of(path) / fs::read_symlink(path, none);
    }
    through |= fs::exists(status) && !fs::is_regular_file(status);
    if (through) path = given;
  }

  fs::path path;
  std::error_code error;
  fs::file_status status;  // of what was there; without a type after an error
  bool through = false;    // written to as it is
};

}  // namespace

std::string absolute_path(const std::string& path) {
  std::error_code nowhere;  // where the current folder was deleted
  fs::path result = fs::current_path(nowhere);
  if (nowhere) return path;
  // The current folder's path is without links, so that ".." at the start leads to its parent. What it leads to later depends
  // on links, and it stays.
  bool start = true;
  for (const fs::path& part : fs::path(path)) {
    if (part.empty() || part == ".") continue;
    start = start && (part == ".." || part.is_absolute());
    result = start && part == ".." ? result.parent_path() : result / part;
  }
  return result.string();
}

FileError::FileError(const std::string& file, const char* what, int number)
    : Error(fmt::format("{}: {}: {}", file, what, std::strerror(number))),
      path(file),
      reason(number, std::generic_category()) {}

InputFile::InputFile(const std::string& path)
    : path_(path), descriptor_(uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); })) {
  if (descriptor_ < 0) throw FileError(path_, cannot_read, errno);
}

InputFile::~InputFile() { ::close(descriptor_); }

void InputFile::check_ends() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) throw FileError(path_, cannot_read, errno);
  if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) fail("{}: cannot be read: it is a device, which need not end", path_);
}

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
  if (::fstat(descriptor_, &opened) != 0) throw FileError(name_, cannot_lock, errno);
  if (::stat(path_.c_str(), &named) == 0) return opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  throw FileError(name_, cannot_lock, errno);
}

void OutputFile::write(const void* bytes, size_t count) {
  const SizeLimitIsAnError limit;
  for (size_t done = 0; done < count;) {
    const ssize_t put =
        uninterrupted([&] { return ::write(descriptor_, static_cast<const char*>(bytes) + done, count - done); });
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

// What write_file writes until it is whole. Deleted in the end, unless it was put in its place.
class FileBeside {
 public:
  // Throws FileError where something of its name is there, too.
  FileBeside(const Target& target, const std::string& name)
      : target_(target.path), path_(parent_of(target_) + "/" + unused_name()), file_(path_, name, O_EXCL) {}
  ~FileBeside() {
    if (!placed_) ::unlink(path_.c_str());
  }
  FileBeside(const FileBeside&) = delete;

  OutputFile& file() { return file_; }
  bool set_rights(fs::perms rights) { return ::fchmod(file_.descriptor_, mode_t(rights)) == 0; }
  void put_in_place() {
    file_.sync();
    if (::rename(path_.c_str(), target_.c_str()) != 0) throw FileError(file_.name_, cannot_write, errno);
    placed_ = true;
    // Where the folder cannot be flushed, the file is there all the same.
    [[maybe_unused]] const std::error_code unflushed = sync_path(parent_of(target_));
  }

 private:
  // Its length does not depend on the target's name, which may be as long as a name can be.
  static std::string unused_name() {
    static std::atomic<int64_t> made = 0;
    return fmt::format("{}{}-{}{}", unfinished_start, ::getpid(), ++made, unfinished_end);
  }

  fs::path target_;
  std::string path_;
  OutputFile file_;
  bool placed_ = false;
};

namespace {

std::unique_ptr<FileBeside> make_beside(const Target& target, const std::string& name) {
  if (target.status.type() == fs::file_type::none) throw FileError(name, cannot_write, target.error.value());
  const bool replaces = fs::exists(target.status);
  // A file that may not be written is not to be replaced, either.
  if (replaces && ::faccessat(AT_FDCWD, target.path.c_str(), W_OK, AT_EACCESS) != 0) throw FileError(name, cannot_write, errno);
  for (int tries = 0; tries < 1000; ++tries) {
    try {
      auto beside = std::make_unique<FileBeside>(target, name);
      if (!beside->file().lock()) continue;  // who clears the folder came before the lock
      if (replaces && !beside->set_rights(target.status.permissions())) throw FileError(name, cannot_write, errno);
      return beside;
    } catch (const FileError& error) {
      if (error.reason == std::errc::file_exists) continue;  // from another machine's process of that number, say
      if (replaces && error.reason == std::errc::permission_denied)
        throw FileError(name, "cannot be replaced, as its folder cannot be written to", EACCES);
      throw;
    }
  }
  throw FileError(name, cannot_lock, EWOULDBLOCK);
}

}  // namespace

std::string read_file(const std::string& path) {
  InputFile file(path);
  file.check_ends();
  std::string content;
  std::array<char, 1 << 16> block;
  for (size_t got = block.size(); got == block.size();)
    content.append(block.data(), got = file.read(block.data(), block.size()));
  return content;
}

void read_lines(const std::string& path, const std::function<void(std::string_view line)>& take) {
  InputFile file(path);
  file.check_ends();
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
  const auto beside = make_beside(target, path);
  write_to(beside->file());
  beside->put_in_place();
}

void write_file(const std::string& path, std::string_view content) {
  write_file(path, [&](const Put& put) { put(content.data(), content.size()); });
}

void check_writable(const std::string& path) {
  const Target target(path);
  if (!target.through) {
    make_beside(target, path);
  } else if (fs::is_directory(target.status)) {
    throw FileError(path, cannot_write, EISDIR);
  } else if (::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0) {
    throw FileError(path, cannot_write, errno);
  }
}

void delete_unfinished_files(const std::string& folder) {
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; at != end; at.increment(error)) {
    if (!names_unfinished_file(at->path().filename())) continue;
    const int file = uninterrupted([&] { return ::open(at->path().c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC); });
    if (file < 0) continue;
    if (uninterrupted([&] { return ::flock(file, LOCK_EX | LOCK_NB); }) == 0) ::unlink(at->path().c_str());
    ::close(file);
  }
}

bool names_unfinished_file(const std::string& name) {
  if (!name.starts_with(unfinished_start) || !name.ends_with(unfinished_end)) return false;
  const std::string_view numbers =
      std::string_view(name).substr(unfinished_start.size(), name.rfind('.') - unfinished_start.size());
  const size_t dash = numbers.find('-');
  const auto is_number = [](std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
  };
  return dash != numbers.npos && is_number(numbers.substr(0, dash)) && is_number(numbers.substr(dash + 1));
}

bool is_there(const std::string& path) {
  std::error_code unknown;
  const fs::file_status status = fs::status(path, unknown);
  if (status.type() == fs::file_type::none) throw FileError(path, cannot_read, unknown.value());
  return fs::exists(status);
}

std::error_code make_folders(const std::string& path) {
  const auto made = [&] { return ::mkdir(path.c_str(), 0777) == 0; };
  if (made()) return {};
  const std::string above = parent_of(path);
  if (errno == ENOENT && above != path) {
    if (const std::error_code error = make_folders(above)) return error;
    if (made()) return {};
  }
  if (errno != EEXIST) return last_error();
  std::error_code unknown;
  if (fs::is_directory(path, unknown)) return {};
  return unknown ? unknown : std::make_error_code(std::errc::not_a_directory);
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
  const bool exchanged = ::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0;
  if (!exchanged && errno == ENOENT) {  // there is no target
    if (::rename(fresh.c_str(), target.c_str()) != 0) return last_error();
  } else if (!exchanged) {
    fs::remove_all(aside, ignored);
    if (::rename(target.c_str(), aside.c_str()) != 0 && errno != ENOENT) return last_error();
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
