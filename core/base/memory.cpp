#include "core/base/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>

#include "core/base/scope.h"

namespace az {
namespace {

size_t limit_on(decltype(RLIMIT_AS) resource) {
  rlimit set{};
  return ::getrlimit(resource, &set) == 0 && set.rlim_cur != RLIM_INFINITY ? size_t(set.rlim_cur) : SIZE_MAX;
}

}  // namespace

void throw_memory_error(const std::string& message) {
  MemoryError error(message);
  error.place(Scope::place());
  throw error;
}

size_t limited_memory() { return std::min(limit_on(RLIMIT_AS), limit_on(RLIMIT_DATA)); }

size_t memory_left() {
  const size_t addresses = limit_on(RLIMIT_AS), data = limit_on(RLIMIT_DATA);
  if (std::min(addresses, data) == SIZE_MAX) return SIZE_MAX;
  std::array<size_t, 6> pages{};  // addresses, in memory, shared, code, none, data with stacks
  std::ifstream file("/proc/self/statm");
  file.imbue(std::locale::classic());
  for (size_t& count : pages) file >> count;
  const auto left = [page = size_t(::sysconf(_SC_PAGESIZE))](size_t limit, size_t taken) {
    return limit == SIZE_MAX ? SIZE_MAX : limit - std::min(limit, taken * page);
  };
  return std::min(left(addresses, pages[0]), left(data, pages[5]));
}

void require_memory_left(size_t bytes) {
  if (const size_t left = memory_left(); left < bytes)
    fail_memory(
        "out of memory: the limits of this process leave {} MiB, and the next step may take {}; raise the limit on memory "
        "(ulimit -v, ulimit -d), or use fewer threads",
        left >> 20, bytes >> 20);
}

}  // namespace az
