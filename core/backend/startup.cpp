#include "core/backend/startup.h"

#include <cblas.h>
#include <omp.h>
#include <sys/auxv.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "core/backend/blas.h"
#include "core/base/simd.h"

namespace az {
namespace {

// Floats in the vectors that OpenBLAS's kernels compute with, as simd_width() counts them.
int width_of_openblas() {
  const std::string kernels = openblas_get_corename();
  for (const char* name : {"SkylakeX", "Cooperlake", "SapphireRapids"}) {
    if (kernels == name) return 16;
  }
  return kernels == "Haswell" || kernels == "Zen" ? 8 : 4;
}

}  // namespace

// The spin count: measured. libgomp's own, 300000, makes a second busy program cost both several milliseconds at each barrier;
// none at all costs a training that runs alone a tenth of its speed.
std::vector<StartupVariable> startup_variables() {
  std::vector<StartupVariable> wanted;
  if (!std::getenv("OMP_WAIT_POLICY") && !std::getenv("GOMP_SPINCOUNT")) wanted.push_back({"GOMP_SPINCOUNT", "10000"});
  // OpenBLAS knows processors by their model number and takes old kernels for those that are newer than itself.
  const int width = simd_width();
  if (!std::getenv("OPENBLAS_CORETYPE") && width > width_of_openblas())
    wanted.push_back({"OPENBLAS_CORETYPE", width == 16 ? "SKYLAKEX" : "HASWELL"});
  return wanted;
}

void restart_with_startup_variables(char** argv) {
  const std::vector<StartupVariable> wanted = startup_variables();
  if (wanted.empty()) return;
  // Without a base address the kernel loaded no dynamic linker beside the program: either /proc/self/exe is the linker itself,
  // which would take the arguments for its own, or nothing is loaded before main.
  if (::getauxval(AT_BASE) == 0) return;
  // OpenMP has bound this thread to a core (OMP_PROC_BIND): the program started again would see no other.
  if (omp_get_proc_bind() != omp_proc_bind_false) return;
  std::error_code error;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe", error).string();
  if (error) return;
  // The process's own environment stays as it is, in case exec fails. Afterwards every wanted variable is set: there is no
  // third start.
  std::vector<std::string> settings;
  for (const StartupVariable& variable : wanted) settings.push_back(variable.name + "=" + variable.value);
  std::vector<char*> environment;
  for (char** at = environ; *at; ++at) environment.push_back(*at);
  for (std::string& setting : settings) environment.push_back(setting.data());
  environment.push_back(nullptr);
  ::execve(self.c_str(), argv, environment.data());
}

namespace {

// What the program was started with, to be put back.
struct {
  itimerval timer;
  struct sigaction action;
  sigset_t blocked;
} before;

// Runs in the midst of a library's constructor: system calls, and nothing else.
void still_loading(int) {
  if (openblas_has_room(1)) return;  // the machine is slow, that is all
  constexpr char message[] =
      ": cannot start: OpenBLAS finds no room for its buffers, 128 MiB for each thread; raise the limit on memory (ulimit -v, "
      "ulimit -d), or set OPENBLAS_NUM_THREADS=1\n";
  for (const char* part : {static_cast<const char*>(program_invocation_short_name), message}) {
    if (::write(STDERR_FILENO, part, std::strlen(part)) < 0) break;
  }
  ::_exit(1);
}

}  // namespace

// Loading takes some hundredths of a second of the processor's time.
void watch_loading() {
  struct sigaction action;
  std::memset(&action, 0, sizeof action);
  action.sa_handler = still_loading;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGPROF, &action, &before.action);
  sigset_t ours;
  ::sigemptyset(&ours);
  ::sigaddset(&ours, SIGPROF);
  ::sigprocmask(SIG_UNBLOCK, &ours, &before.blocked);
  const itimerval spent{{0, 100000}, {0, 100000}};
  ::setitimer(ITIMER_PROF, &spent, &before.timer);
}

void loading_ended() {
  ::setitimer(ITIMER_PROF, &before.timer, nullptr);
  ::sigprocmask(SIG_SETMASK, &before.blocked, nullptr);
  ::sigaction(SIGPROF, &before.action, nullptr);
}

}  // namespace az
