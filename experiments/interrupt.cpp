#include "experiments/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace az::experiments {
namespace {

volatile sig_atomic_t received_signal = 0;
const char* volatile reaction_text = nullptr;
const char* volatile end_text = nullptr;
struct sigaction before_interrupt, before_terminate;

// A handler may call nothing that allocates or locks.
void say(const char* text) {
  if (!reaction_text) return;
  [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, text, std::strlen(text));
}

void note(int number) {
  const int saved = errno;
  if (::isatty(STDERR_FILENO)) say("\r\x1b[K");  // what a progress bar left on the line
  if (received_signal == 0) {
    received_signal = number;
    say("azimuth: ");
    say(reaction_text);
    say("; once more stops at once\n");
  } else {
    say("azimuth: ");
    say(end_text);
    say("\n");
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    ::sigaction(number, &standard, nullptr);
    ::raise(number);  // arrives as this handler returns
  }
  errno = saved;
}

}  // namespace

InterruptGuard::InterruptGuard(const char* reaction, const char* end) {
  received_signal = 0;
  reaction_text = reaction;
  end_text = end;
  struct sigaction action {};
  action.sa_handler = note;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, &before_interrupt);
  ::sigaction(SIGTERM, &action, &before_terminate);
}

InterruptGuard::~InterruptGuard() {
  ::sigaction(SIGINT, &before_interrupt, nullptr);
  ::sigaction(SIGTERM, &before_terminate, nullptr);
  received_signal = 0;
}

Exit InterruptGuard::received() {
  if (received_signal == SIGINT) return Exit::interrupted;
  return received_signal == SIGTERM ? Exit::terminated : Exit::done;
}

}  // namespace az::experiments
