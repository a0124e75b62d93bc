#include "experiments/files.h"

#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "core/error.h"

namespace az::experiments {
namespace {

[[noreturn]] void fail_path(const char* what, const std::string& path) {
  fail("cannot {} {}: {}", what, path, std::strerror(errno));
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

}  // namespace az::experiments
