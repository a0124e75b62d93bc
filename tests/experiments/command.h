#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

// The azimuth program: what the variable AZIMUTH_CLI names, or that of the build.
std::string azimuth_program();

// Runs it, as a shell would.
struct CommandResult {
  int exit = -1;
  std::string out, err;
};
CommandResult run_azimuth(const std::vector<std::string>& arguments);
// The same through another program, found on the path: run_through({"taskset", "-c", "0"}, {"doctor"}).
CommandResult run_through(const std::vector<std::string>& launcher, const std::vector<std::string>& arguments);

// The same, left running; wait() gives its result. Without it, the program is killed in the end.
class RunningCommand {
 public:
  explicit RunningCommand(const std::vector<std::string>& arguments, const std::vector<std::string>& launcher = {});
  ~RunningCommand();
  RunningCommand(const RunningCommand&) = delete;
  void signal(int number);
  // Waits for the condition, as long as the program runs: whether it has come about.
  bool wait_until(const std::function<bool()>& condition);
  CommandResult wait();

 private:
  std::string folder_;
  pid_t process_;
  bool running_ = true;
};
