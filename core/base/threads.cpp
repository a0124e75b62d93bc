#include "core/base/threads.h"

#include <fmt/core.h>
#include <omp.h>

#include <algorithm>
#include <cstdlib>
#include <exception>

#include "core/base/cores.h"

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

// OpenMP alone would overlook a control group's limit.
[[maybe_unused]] const bool applied_at_start = (count().apply(), true);

}  // namespace

int thread_count() { return count().value; }
void use_thread_count() {
  if (omp_get_max_threads() != thread_count()) omp_set_num_threads(thread_count());
}
std::string thread_count_origin() { return count().origin; }

void set_thread_count(int wanted, const std::string& origin) {
  count() = {std::max(1, wanted), origin};
  count().apply();
}

void parallel_for(int64_t total, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (total <= 0) return;
  if (total <= grain || omp_in_parallel() || thread_count() == 1) return body(0, total);
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
