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

// OpenBLAS asks for 128 MiB for each thread as it is loaded, and where a limit (ulimit -v, ulimit -d) or the system leaves no
// room it asks for ever. A program with AZ_WATCH_LOADING in one of its own source files, outside of functions, ends instead
// with a sentence and exit code 1.
#define AZ_WATCH_LOADING                                                                                        \
  [[gnu::section(".preinit_array"), gnu::used]] static void (*const az_before_libraries)() = az::watch_loading; \
  [[gnu::constructor]] static void az_after_libraries() { az::loading_ended(); }

// For AZ_WATCH_LOADING. They run before the constructors of any library and after those of all.
void watch_loading();
void loading_ended();

}  // namespace az
