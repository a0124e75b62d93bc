// A library to preload that makes one call to do with files fail, as a disk may. It is made and used so:
//   g++ -std=c++20 -shared -fPIC tests/faults/faults.cpp -o libfaults.so
//   LD_PRELOAD=libfaults.so FAULT_CALL=write FAULT_AT=3 FAULT_ERRNO=28 FAULT_IN=/tmp/run azimuth train ...
// The third write() to a file whose path holds "/tmp/run" fails with error 28, no space left on device; with FAULT_ERRNO=0 it
// writes half of the bytes. FAULT_ON=1 makes all that come after it fail, too. Each fault is a line in the file FAULT_LOG.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

struct Plan {
  std::string call = variable("FAULT_CALL"), in = variable("FAULT_IN"), log = variable("FAULT_LOG");
  int at = std::atoi(variable("FAULT_AT").c_str()), number = std::atoi(variable("FAULT_ERRNO").c_str());
  bool on = variable("FAULT_ON") == "1";
  std::atomic<int> count = 0;
};

Plan& plan() {
  static Plan only;
  return only;
}

template <class Call> Call* real(Call*, const char* name) { return reinterpret_cast<Call*>(::dlsym(RTLD_NEXT, name)); }

std::string path_of(int descriptor) {
  char path[4096];
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  const ssize_t length = ::readlink(link.c_str(), path, sizeof path);
  return length > 0 ? std::string(path, size_t(length)) : "";
}
std::string path_of(const char* path) { return path ? path : ""; }
std::string path_of(FILE* file) { return path_of(::fileno(file)); }

// Whether this call is to fail: errno is set then.
template <class What> bool fails(const char* call, What what) {
  Plan& p = plan();
  if (p.call != call) return false;
  const int before = errno;
  const std::string path = path_of(what);
  errno = before;
  if (path == p.log || path.find(p.in) == std::string::npos) return false;
  const int now = ++p.count;
  if (now != p.at && !(p.on && now > p.at)) return false;
  const std::string line = p.call + " " + path + "\n";
  const int log = int(::syscall(SYS_openat, AT_FDCWD, p.log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666));
  [[maybe_unused]] const long written = ::syscall(SYS_write, log, line.data(), line.size());
  ::syscall(SYS_close, log);
  errno = p.number;
  return true;
}

}  // namespace

// The function `name`, whose calls are counted as `call` and fail with the value `failure`.
#define FAULTY(result, name, parameters, arguments, call, path, failure) \
  extern "C" result name parameters {                                    \
    if (fails(call, path)) return failure;                               \
    return real(name, #name) arguments;                                  \
  }
#define FAULTY_OPEN(name, parameters, arguments, path)              \
  extern "C" int name parameters {                                  \
    va_list rest;                                                   \
    va_start(rest, flags);                                          \
    const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                                   \
    if (fails("open", path)) return -1;                             \
    return real(name, #name) arguments;                             \
  }

FAULTY_OPEN(open, (const char* path, int flags, ...), (path, flags, mode), path)
FAULTY_OPEN(open64, (const char* path, int flags, ...), (path, flags, mode), path)
FAULTY_OPEN(openat, (int folder, const char* path, int flags, ...), (folder, path, flags, mode), path)
FAULTY_OPEN(openat64, (int folder, const char* path, int flags, ...), (folder, path, flags, mode), path)
FAULTY(FILE*, fopen, (const char* path, const char* mode), (path, mode), "open", path, nullptr)
FAULTY(FILE*, fopen64, (const char* path, const char* mode), (path, mode), "open", path, nullptr)
FAULTY(ssize_t, read, (int file, void* bytes, size_t count), (file, bytes, count), "read", file, -1)
FAULTY(ssize_t, pread, (int file, void* bytes, size_t count, off_t at), (file, bytes, count, at), "read", file, -1)
FAULTY(ssize_t, pread64, (int file, void* bytes, size_t count, off64_t at), (file, bytes, count, at), "read", file, -1)
FAULTY(ssize_t, writev, (int file, const iovec* parts, int count), (file, parts, count), "write", file, -1)
FAULTY(size_t, fwrite, (const void* bytes, size_t size, size_t count, FILE* file), (bytes, size, count, file), "write", file, 0)
FAULTY(int, fflush, (FILE * file), (file), "fflush", file, EOF)
FAULTY(int, fsync, (int file), (file), "fsync", file, -1)
FAULTY(int, ftruncate, (int file, off_t length) noexcept, (file, length), "ftruncate", file, -1)
FAULTY(int, ftruncate64, (int file, off64_t length) noexcept, (file, length), "ftruncate", file, -1)
FAULTY(int, truncate, (const char* path, off_t length) noexcept, (path, length), "ftruncate", path, -1)
FAULTY(int, flock, (int file, int what) noexcept, (file, what), "flock", file, -1)
FAULTY(int, fchmod, (int file, mode_t mode) noexcept, (file, mode), "fchmod", file, -1)
FAULTY(int, rename, (const char* from, const char* to) noexcept, (from, to), "rename", from, -1)
FAULTY(int, renameat2, (int from_folder, const char* from, int to_folder, const char* to, unsigned flags) noexcept,
       (from_folder, from, to_folder, to, flags), "renameat2", from, -1)
FAULTY(int, mkdir, (const char* path, mode_t mode) noexcept, (path, mode), "mkdir", path, -1)
FAULTY(int, unlink, (const char* path) noexcept, (path), "unlink", path, -1)
FAULTY(int, unlinkat, (int folder, const char* path, int flags) noexcept, (folder, path, flags), "unlink", folder, -1)
FAULTY(int, remove, (const char* path) noexcept, (path), "unlink", path, -1)
FAULTY(int, stat, (const char* path, struct stat* status) noexcept, (path, status), "stat", path, -1)
FAULTY(int, stat64, (const char* path, struct stat64* status) noexcept, (path, status), "stat", path, -1)
FAULTY(int, lstat, (const char* path, struct stat* status) noexcept, (path, status), "stat", path, -1)
FAULTY(int, lstat64, (const char* path, struct stat64* status) noexcept, (path, status), "stat", path, -1)

// Closes in any case, as the system does.
extern "C" int close(int file) {
  const bool failed = fails("close", file);
  const int number = errno, result = real(close, "close")(file);
  if (failed) errno = number;
  return failed ? -1 : result;
}

extern "C" ssize_t write(int file, const void* bytes, size_t count) {
  const bool failed = fails("write", file);
  if (failed && errno != 0) return -1;
  return real(write, "write")(file, bytes, failed ? (count + 1) / 2 : count);
}
