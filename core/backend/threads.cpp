#include "core/backend/threads.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace az {
namespace {

// Whole processors that the control group grants (version 2, then 1), or a large number.
int cgroup_quota() {
  std::string quota;
  double period = 0;
  if (std::ifstream file("/sys/fs/cgroup/cpu.max"); file >> quota >> period) {
    return quota == "max" || period <= 0 ? 1 << 20 : std::max(1, int(std::stod(quota) / period));
  }
  double granted = 0;
  std::ifstream quota_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), period_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (quota_file >> granted && period_file >> period && granted > 0 && period > 0) return std::max(1, int(granted / period));
  return 1 << 20;
}

int default_thread_count() {
  cpu_set_t set;
  int allowed = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : omp_get_num_procs();
  return std::max(1, std::min(allowed, cgroup_quota()));
}

int& count() {
  static int value = default_thread_count();
  return value;
}

// OpenMP alone would overlook the quota; oneDNN and OpenBLAS ask OpenMP.
[[maybe_unused]] const bool applied_at_start = (omp_set_num_threads(count()), true);

}  // namespace

int thread_count() { return count(); }

void set_thread_count(int wanted) {
  count() = std::max(1, wanted);
  omp_set_num_threads(count());
}

void parallel_for(int64_t total, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (total <= 0) return;
  if (total <= grain || omp_in_parallel() || omp_get_max_threads() == 1) return body(0, total);
    // Always the whole team: libgomp ends threads when a smaller one is asked for.
#pragma omp parallel
  {
    int64_t team = omp_get_num_threads();
    // Whole vectors for every thread but the last: a remainder may be rounded differently, wherever it falls.
    int64_t share = std::max(grain, (total + team - 1) / team), unit = std::clamp<int64_t>(grain, 1, 64);
    share = (share + unit - 1) / unit * unit;
    int64_t begin = omp_get_thread_num() * share;
    if (begin < total) body(begin, std::min(total, begin + share));
  }
}

}  // namespace az
