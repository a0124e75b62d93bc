#pragma once

#include <string>
#include <vector>

namespace az {

// A variable that OpenMP or OpenBLAS reads as it is loaded, before main.
struct StartupVariable {
  std::string name, value;
};
// Those that would serve this machine better than what is in force:
//   GOMP_SPINCOUNT, unless it or OMP_WAIT_POLICY is set: threads at a barrier wait busily for up to half a millisecond, then
//   sleep; OPENBLAS_CORETYPE, unless it is set: where OpenBLAS took kernels for narrower vectors than the processor has.
std::vector<StartupVariable> startup_variables();

// Starts the program again, in this process, with those variables set; returns when there are none or it cannot be done. To be
// called first in main: arguments, open files and everything else stay as they are.
void restart_with_startup_variables(char** argv);

}  // namespace az
