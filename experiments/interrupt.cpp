#include "experiments/interrupt.h"

#include <csignal>

namespace az::experiments {
namespace {

volatile std::sig_atomic_t received_signal = 0;

void note(int signal) {
  received_signal = signal;
  std::signal(signal, SIG_DFL);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  received_signal = 0;
  std::signal(SIGINT, note);
  std::signal(SIGTERM, note);
}

InterruptGuard::~InterruptGuard() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  received_signal = 0;
}

Exit InterruptGuard::received() {
  if (received_signal == SIGINT) return Exit::interrupted;
  return received_signal == SIGTERM ? Exit::terminated : Exit::done;
}

}  // namespace az::experiments
