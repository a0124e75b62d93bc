#include "core/base/cores.h"

#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "core/base/control_groups.h"

namespace az {

// Rounded up: under a limit of 1.5 cores, two threads are 1.5 times as fast as one.
int Cores::threads() const { return std::max(1, int(std::ceil(std::min(double(allowed), granted)))); }

std::vector<int> allowed_cores() {
  std::vector<int> result;
  for (int place = 0; place < omp_get_num_places(); ++place) {  // none unless OpenMP binds threads
    std::vector<int> cores_of_place(size_t(omp_get_place_num_procs(place)));
    omp_get_place_proc_ids(place, cores_of_place.data());
    result.insert(result.end(), cores_of_place.begin(), cores_of_place.end());
  }
  cpu_set_t mask;
  if (!result.empty() || ::sched_getaffinity(0, sizeof mask, &mask) != 0) return result;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &mask)) result.push_back(core);
  }
  return result;
}

// OpenMP counts the allowed cores as it is loaded, before it binds a thread to any of them itself.
Cores cores() {
  return {
      .online = std::max(1, int(::sysconf(_SC_NPROCESSORS_ONLN))), .allowed = omp_get_num_procs(), .granted = granted_cores()};
}

}  // namespace az
