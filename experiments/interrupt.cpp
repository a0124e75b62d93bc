#include "experiments/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace az::experiments {
namespace {

std::atomic<int> received_signal = 0;
std::atomic<const std::string*> first_line, second_line;
std::atomic_flag speaking;
struct sigaction before_interrupt, before_terminate;

static_assert(std::atomic<int>::is_always_lock_free && std::atomic<const std::string*>::is_always_lock_free);

// A handler may call nothing that allocates or locks.
void say(const std::string* line) {
  if (line) [[maybe_unused]]
    const ssize_t ignored = ::write(STDERR_FILENO, line->data(), line->size());
}

void wait_to_speak() {
  while (speaking.test_and_set()) {}
}

void note(int number) {
  const int saved = errno;
  // Two signals may run this on two threads at once. Neither can interrupt it on its own thread, so the wait is short.
  wait_to_speak();
  const bool first = received_signal == 0;
  say(first ? first_line : second_line);
  if (first) received_signal = number;
  speaking.clear();
  if (!first) {
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
  if (reaction) {
    const std::string start = ::isatty(STDERR_FILENO) ? "\r\x1b[Kazimuth: " : "azimuth: ";  // over what a bar left on the line
    first_ = start + reaction + "; once more stops at once\n";
    second_ = start + end + "\n";
  }
  first_line = reaction ? &first_ : nullptr;
  second_line = reaction ? &second_ : nullptr;
  struct sigaction action {};
  action.sa_handler = note;
  action.sa_flags = SA_RESTART;
  ::sigaddset(&action.sa_mask, SIGINT);
  ::sigaddset(&action.sa_mask, SIGTERM);
  ::sigaction(SIGINT, &action, &before_interrupt);
  ::sigaction(SIGTERM, &action, &before_terminate);
}

InterruptGuard::~InterruptGuard() {
  ::sigaction(SIGINT, &before_interrupt, nullptr);
  ::sigaction(SIGTERM, &before_terminate, nullptr);
  wait_to_speak();  // a handler on another thread ends first: the lines are this guard's
  first_line = second_line = nullptr;
  received_signal = 0;
  speaking.clear();
}

Exit InterruptGuard::received() {
  if (received_signal == SIGINT) return Exit::interrupted;
  return received_signal == SIGTERM ? Exit::terminated : Exit::done;
}

}  // namespace az::experiments
