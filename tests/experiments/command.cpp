#include "tests/experiments/command.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <system_error>
#include <thread>

#include "core/base/files.h"

namespace {

void redirect(int target, const std::string& file) {
  const int opened = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ::dup2(opened, target);
}

}  // namespace

std::string azimuth_program() {
  const char* path = std::getenv("AZIMUTH_CLI");
  return path ? path : AZIMUTH_CLI_PATH;
}

RunningCommand::RunningCommand(const std::vector<std::string>& arguments, const std::vector<std::string>& launcher) {
  folder_ = (std::filesystem::temp_directory_path() / "azimuth_command_XXXXXX").string();
  if (!::mkdtemp(folder_.data())) throw std::system_error(errno, std::generic_category(), folder_);
  std::vector<std::string> words = launcher;
  words.push_back(azimuth_program());
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string out = folder_ + "/out", err = folder_ + "/err";
  process_ = ::fork();
  if (process_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (process_ == 0) {
    redirect(STDOUT_FILENO, out);
    redirect(STDERR_FILENO, err);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
}

RunningCommand::~RunningCommand() {
  if (running_) {
    signal(SIGKILL);
    wait();
  }
  std::filesystem::remove_all(folder_);
}

void RunningCommand::signal(int number) { ::kill(process_, number); }

bool RunningCommand::wait_until(const std::function<bool()>& condition) {
  while (!condition()) {
    siginfo_t ended{};
    ::waitid(P_PID, id_t(process_), &ended, WEXITED | WNOHANG | WNOWAIT);
    if (ended.si_pid == process_) return condition();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

CommandResult RunningCommand::wait() {
  int status = 0;
  ::waitpid(process_, &status, 0);
  running_ = false;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), az::read_file(folder_ + "/out"),
          az::read_file(folder_ + "/err")};
}

CommandResult run_azimuth(const std::vector<std::string>& arguments) { return RunningCommand(arguments).wait(); }

CommandResult run_through(const std::vector<std::string>& launcher, const std::vector<std::string>& arguments) {
  return RunningCommand(arguments, launcher).wait();
}
