#include "experiments/sweep/child.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "core/base/cores.h"
#include "core/base/error.h"
#include "core/base/files.h"

namespace az::experiments {
namespace {

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

std::vector<std::string> environment(std::optional<int> threads) {
  std::vector<std::string> variables;
  for (char** at = environ; *at; ++at) {
    if (!threads || !std::string_view(*at).starts_with("OMP_NUM_THREADS=")) variables.emplace_back(*at);
  }
  if (threads) variables.push_back(fmt::format("OMP_NUM_THREADS={}", *threads));
  return variables;
}

}  // namespace

Child::Child(const std::vector<std::string>& arguments, const std::string& log, std::optional<int> threads) {
  std::vector<std::string> words = {program_invocation_name}, variables = environment(threads);
  words.insert(words.end(), arguments.begin(), arguments.end());
  const std::vector<char*> argv = pointers(words), envp = pointers(variables);
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (out < 0) throw FileError(log, "cannot be written", errno);
  log_.open(log, std::ios::binary);
  log_.seekg(0, std::ios::end);
  const int in = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const pid_t parent = ::getpid();
  cpu_set_t cores;
  CPU_ZERO(&cores);
  for (int core : allowed_cores()) CPU_SET(core, &cores);
  // A signal that arrives before the new program runs has to end it, not to be noted by our handler's copy.
  sigset_t stops, before;
  ::sigemptyset(&stops);
  for (int number : {SIGINT, SIGTERM}) ::sigaddset(&stops, number);
  ::pthread_sigmask(SIG_BLOCK, &stops, &before);
  process_ = ::fork();
  if (process_ == 0) {  // nothing from here on may allocate or lock
    for (int number : {SIGINT, SIGTERM}) ::signal(number, SIG_DFL);
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    ::setpgid(0, 0);
    ::sched_setaffinity(0, sizeof cores, &cores);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(1);
    ::dup2(in, STDIN_FILENO);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
    // The very program that runs, even where its file has been replaced since.
    ::execve("/proc/self/exe", argv.data(), envp.data());
    ::_exit(127);
  }
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::close(in);
  ::close(out);
  if (process_ < 0) fail("cannot start another process: {}", std::strerror(error));
}

void Child::signal(int number) const {
  if (!exit_) ::kill(process_, number);
}

bool Child::ended() {
  int status = 0;
  if (!exit_ && ::waitpid(process_, &status, WNOHANG) == process_)
    exit_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return exit_.has_value();
}

void Child::read_lines(const std::function<void(const std::string&)>& take) {
  log_.clear();
  for (int c; (c = log_.get()) != std::ifstream::traits_type::eof();) {
    if (c != '\n') {
      unfinished_ += char(c);
      continue;
    }
    if (!unfinished_.empty()) take(last_line_ = std::exchange(unfinished_, ""));
  }
}

}  // namespace az::experiments
