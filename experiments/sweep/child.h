#pragma once

#include <sys/types.h>

#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace az::experiments {

// This program, running once more beside us: what it says goes to the end of a log file, which outlives both. It is in a
// process group of its own, so that Ctrl-C reaches us alone, and gets SIGTERM should we die.
class Child {
 public:
  // Throws Error when there is no process to be had or the log cannot be written.
  Child(const std::vector<std::string>& arguments, const std::string& log, std::optional<int> threads);
  Child(Child&&) = default;
  Child& operator=(Child&&) = default;

  void signal(int number) const;
  // Says whether it has ended, without waiting.
  bool ended();
  // How it ended, once it has: 0 to 255 as the program left, or minus the number of the signal that killed it.
  int exit() const { return *exit_; }
  // Hands on each line that has come to the log since the last call.
  void read_lines(const std::function<void(const std::string&)>& take);
  const std::string& last_line() const { return last_line_; }

 private:
  pid_t process_ = -1;
  std::optional<int> exit_;
  std::ifstream log_;
  std::string unfinished_, last_line_;
};

}  // namespace az::experiments
