#pragma once

#include <vector>

namespace az {

// The processor's cores, and how many of them this process may run on (affinity, as taskset sets it).
struct Cores {
  int online = 1, allowed = 1;
  double granted = 1;  // by control groups: granted_cores()

  // Threads that make good use of them, 1 or more.
  int threads() const;
};
Cores cores();
// The numbers of the cores that this process may run on, also where OpenMP has bound the calling thread to one of them
// (OMP_PROC_BIND): a process that such a thread starts would be held to that one.
std::vector<int> allowed_cores();

}  // namespace az
