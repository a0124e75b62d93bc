#pragma once

#include <string>
#include <vector>

namespace az {

// Cores that the control groups of this process let it use: 0.5 for half of one, infinity where there is no limit. The least
// limit between the process's own group and the topmost one counts, in version 1 or 2 of control groups. Reads /proc/self/cgroup,
// /proc/self/mountinfo and the groups' files, all below `root`.
double granted_cores(const std::string& root = "");

// The processor's cores, and how many of them this process may run on (affinity, as taskset sets it).
struct Cores {
  int online = 1, allowed = 1;
  double granted = 1;  // granted_cores()

  // Threads that make good use of them, 1 or more.
  int threads() const;
};
Cores cores();
// The numbers of the cores that this process may run on, also where OpenMP has bound the calling thread to one of them
// (OMP_PROC_BIND): a process that such a thread starts would be held to that one.
std::vector<int> allowed_cores();

}  // namespace az
