#include "experiments/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/error.h"

namespace az::experiments {
namespace {

[[noreturn]] void fail_path(const char* what, const std::string& path) {
  fail("cannot {} {}: {}", what, path, std::strerror(errno));
}

void rename_path(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) fail_path("rename", from);
}

}  // namespace

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string content{std::istreambuf_iterator<char>(in), {}};
  if (!in) fail_path("read", path);
  return content;
}

void write_file(const std::string& path, const std::string& content) {
  FILE* file = std::fopen(path.c_str(), "wb");
  if (!file) fail_path("write", path);
  bool ok = std::fwrite(content.data(), 1, content.size(), file) == content.size();
  ok = std::fflush(file) == 0 && ok;
  ok = ::fsync(::fileno(file)) == 0 && ok;
  if (std::fclose(file) != 0 || !ok) fail_path("write", path);
}

void sync_path(const std::string& path) {
  int file = ::open(path.c_str(), O_RDONLY);
  if (file < 0) fail_path("open", path);
  int result = ::fsync(file);
  ::close(file);
  if (result != 0) fail_path("flush", path);
}

void replace_folder(const std::string& fresh, const std::string& target) {
  const std::string parent = std::filesystem::path(target).parent_path().string();
  sync_path(fresh);
  std::error_code ignored;
  if (!std::filesystem::exists(target)) {
    rename_path(fresh, target);
  } else if (::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) != 0) {
    // A file system that cannot exchange names: between these two renames only "<target>.old" is there.
    const std::string old = target + ".old";
    std::filesystem::remove_all(old, ignored);
    rename_path(target, old);
    rename_path(fresh, target);
    sync_path(parent);
    std::filesystem::remove_all(old, ignored);
    return;
  }
  sync_path(parent);
  std::filesystem::remove_all(fresh, ignored);
}

}  // namespace az::experiments
