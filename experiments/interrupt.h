#pragma once

#include "core/error.h"

namespace az::experiments {

// While one lives, the first SIGINT or SIGTERM is only noted, so that a step can finish and be saved; a second one kills.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  // Exit::done while nothing has come, else Exit::interrupted or Exit::terminated.
  static Exit received();
};

}  // namespace az::experiments
