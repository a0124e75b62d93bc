#include "core/base/threads.h"

#include <fmt/core.h>
#include <omp.h>
#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <vector>

#include "core/base/ascii.h"
#include "core/base/cores.h"
#include "core/base/error.h"

namespace az {
namespace {

struct ThreadCount {
  int value;
  std::string origin;

  // oneDNN and OpenBLAS ask OpenMP, which must not give them fewer threads than it promised: their kernels wait for all.
  void apply() {
    omp_set_dynamic(0);
    if (const int limit = omp_get_thread_limit(); value > limit) *this = {limit, "OMP_THREAD_LIMIT"};
    omp_set_num_threads(value);
  }
};

ThreadCount default_count() {
  if (std::getenv("OMP_NUM_THREADS")) return {omp_get_max_threads(), "OMP_NUM_THREADS"};
  const Cores c = cores();
  const int count = c.threads();
  if (c.granted < c.allowed) return {count, fmt::format("control group: {:.3g} of {} cores", c.granted, c.online)};
  if (c.allowed < c.online) return {count, fmt::format("affinity: {} of {} cores", c.allowed, c.online)};
  return {count, fmt::format("{} core{}", c.online, c.online == 1 ? "" : "s")};
}

ThreadCount& count() {
  static ThreadCount value = default_count();
  return value;
}

// Bytes of a stack, as OpenMP reads its variable: in KiB unless a unit follows. 0: the system's default.
size_t stack_size() {
  const char* given = std::getenv("OMP_STACKSIZE");
  if (!given) return 0;
  char* end = nullptr;
  const unsigned long long number = std::strtoull(given, &end, 10);
  while (*end == ' ') ++end;
  const char unit = *end ? to_lower(*end) : 'k';
  return size_t(number) << (unit == 'b' ? 0 : unit == 'm' ? 20 : unit == 'g' ? 30 : 10);
}

bool is_limited(decltype(RLIMIT_AS) resource) {
  rlimit set{};
  return ::getrlimit(resource, &set) == 0 && set.rlim_cur != RLIM_INFINITY;
}

// How many threads beside the calling one there can be at once, of `wanted`: found out by making them.
int threads_made(int wanted) {
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  if (const size_t bytes = stack_size()) ::pthread_attr_setstacksize(&attributes, bytes);
  std::vector<pthread_t> threads;
  std::mutex all_made;
  {
    const std::lock_guard lock(all_made);
    const auto wait = [](void* mutex) -> void* {
      const std::lock_guard released(*static_cast<std::mutex*>(mutex));
      return nullptr;
    };
    for (pthread_t thread; int(threads.size()) < wanted && ::pthread_create(&thread, &attributes, wait, &all_made) == 0;)
      threads.push_back(thread);
  }
  for (const pthread_t thread : threads) ::pthread_join(thread, nullptr);
  ::pthread_attr_destroy(&attributes);
  return int(threads.size());
}

// Throws where a limit of this process leaves fewer threads than are wanted, where OpenMP would end the program. Where there is
// a limit, OpenMP makes them at once, before others take what they need.
void check_limits() {
  static std::mutex mutex;
  static std::atomic<int> known = 1;
  const auto [wanted, origin] = count();
  if (wanted <= known) return;
  const std::lock_guard lock(mutex);
  const bool limited = is_limited(RLIMIT_AS) || is_limited(RLIMIT_DATA) || is_limited(RLIMIT_NPROC);
  if (const int made = limited ? 1 + threads_made(wanted - 1) : wanted; made < wanted) {
    fail(
        "there cannot be {} threads ({}): the limits of this process leave {}; use fewer, or raise the limit on memory (ulimit "
        "-v, ulimit -d) or processes (ulimit -u)",
        wanted, origin, made);
  }
  if (limited) {
#pragma omp parallel num_threads(wanted)
    {}
  }
  known = wanted;
}

// OpenMP alone would overlook a control group's limit.
[[maybe_unused]] const bool applied_at_start = (count().apply(), true);

}  // namespace

int thread_count() { return count().value; }
void use_thread_count() {
  check_limits();
  if (omp_get_max_threads() != thread_count()) omp_set_num_threads(thread_count());
}
std::string thread_count_origin() { return count().origin; }

void set_thread_count(int wanted, const std::string& origin) {
  const ThreadCount before = count();
  count() = {std::max(1, wanted), origin};
  count().apply();
  try {
    check_limits();
  } catch (...) {
    count() = before;
    count().apply();
    throw;
  }
}

void parallel_for(int64_t total, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (total <= 0) return;
  if (total <= grain || omp_in_parallel() || thread_count() == 1) return body(0, total);
  check_limits();
  std::exception_ptr error;  // may not leave the team's region itself
  // Always the whole team: libgomp ends threads when a smaller one is asked for.
#pragma omp parallel num_threads(thread_count())
  {
    int64_t team = omp_get_num_threads();
    // Whole vectors for every thread but the last: a remainder may be rounded differently, wherever it falls.
    int64_t share = std::max(grain, (total + team - 1) / team), unit = std::clamp<int64_t>(grain, 1, 64);
    share = (share + unit - 1) / unit * unit;
    int64_t begin = omp_get_thread_num() * share;
    try {
      if (begin < total) body(begin, std::min(total, begin + share));
    } catch (...) {
#pragma omp critical(parallel_for_error)
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace az
