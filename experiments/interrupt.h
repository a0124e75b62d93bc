#pragma once

#include <string>

#include "core/base/error.h"

namespace az::experiments {

// While one lives, the first SIGINT or SIGTERM is only noted, so that a step can finish and be saved; a second one kills.
// Afterwards signals do what they did before.
class InterruptGuard {
 public:
  // Says on stderr what is done upon a signal: `reaction` to the first ("finishing the step"), `end` to the second. Without a
  // reaction, nothing is said.
  explicit InterruptGuard(const char* reaction = nullptr, const char* end = "stopped at once");
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  // Exit::done while nothing has come, else Exit::interrupted or Exit::terminated.
  static Exit received();

 private:
  std::string first_, second_;  // the whole lines, so that each is said in one write
};

}  // namespace az::experiments
