// What someone at a terminal sees, and what signals do.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <pty.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <barrier>
#include <filesystem>
#include <functional>
#include <thread>

#include "core/base/files.h"
#include "experiments/interrupt.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"
#include "tests/scoped_variable.h"

using namespace az;
using az::write_file;
using az::experiments::InterruptGuard;
using test::has;

namespace {

// What a child process writes to a terminal of 80 columns, and how it ends: its exit code, or minus the signal.
CommandResult on_terminal(const std::function<void()>& child) {
  winsize size{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
  int terminal = -1;
  const pid_t process = ::forkpty(&terminal, nullptr, nullptr, &size);
  if (process == 0) {
    child();
    ::_exit(0);
  }
  CommandResult result;
  char buffer[4096];
  for (ssize_t count; (count = ::read(terminal, buffer, sizeof buffer)) > 0;) result.err.append(buffer, size_t(count));
  ::close(terminal);
  int status = 0;
  ::waitpid(process, &status, 0);
  result.exit = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return result;
}

bool skipped_without_terminal() {
  int terminal = -1, other_end = -1;
  if (::openpty(&terminal, &other_end, nullptr, nullptr, nullptr) != 0) {
    MESSAGE("skipped: no terminal can be opened here (is /dev/pts mounted?)");
    return true;
  }
  ::close(terminal), ::close(other_end);
  return false;
}

// `azimuth train` on a terminal, with one more variable.
CommandResult train_on_terminal(const char* variable, const char* value, const std::vector<std::string>& more = {}) {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string();
  write_file(config, tiny_config(R"({"epochs": 2})"));
  std::vector<std::string> words = {azimuth_program(), "train", config, "--run", (folder.path / "run").string()};
  words.insert(words.end(), more.begin(), more.end());
  return on_terminal([&] {
    ::setenv("TERM", "xterm", 1);
    ::unsetenv("NO_COLOR");
    ::setenv(variable, value, 1);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
  });
}

}  // namespace

TEST_CASE("a terminal gets a bar, in colour unless NO_COLOR is set and not empty") {
  if (skipped_without_terminal()) return;
  const CommandResult colour = train_on_terminal("NO_COLOR", "");
  CHECK(colour.exit == 0);
  CHECK(has(colour.err, "\r\x1b[36mepoch 1/2 ["));
  const CommandResult plain = train_on_terminal("NO_COLOR", "1");
  CHECK(has(plain.err, "\repoch 1/2 ["));
  CHECK_FALSE(has(plain.err, "\x1b[36m"));
  const CommandResult dumb = train_on_terminal("TERM", "dumb");
  CHECK_FALSE(has(dumb.err, " ["));
  CHECK_FALSE(has(dumb.err, "\x1b"));
  for (const CommandResult& result : {colour, plain, dumb}) CHECK(has(result.err, "epoch 2/2  lr "));
}

TEST_CASE("a message takes the bar off its line") {
  if (skipped_without_terminal()) return;
  const CommandResult result =
      train_on_terminal("NO_COLOR", "1", {"--set", "optimizer.type=sgd", "--set", "optimizer.lr=1e38"});
  CHECK(result.exit == 4);
  CHECK(has(result.err, "\repoch 1/2 ["));
  CHECK(has(result.err, "\r\x1b[Kazimuth: training diverged"));
}

TEST_CASE("the first signal is noted, the second kills; both say so") {
  if (skipped_without_terminal()) return;
  for (const int number : {SIGINT, SIGTERM}) {
    const CommandResult result = on_terminal([&] {
      InterruptGuard guard("saving", "stopped at once; nothing is lost");
      ::raise(number);
      if (InterruptGuard::received() == (number == SIGINT ? Exit::interrupted : Exit::terminated)) ::raise(number);
    });
    CHECK(result.exit == -number);
    CHECK(result.err ==
          "\r\x1b[Kazimuth: saving; once more stops at once\r\n"
          "\r\x1b[Kazimuth: stopped at once; nothing is lost\r\n");
  }
}

TEST_CASE("two signals that two threads take at once are said one after the other") {
  if (skipped_without_terminal()) return;
  for (int round = 0; round < 200; ++round) {
    const CommandResult result = on_terminal([] {
      InterruptGuard guard("saving");
      sigset_t both;
      ::sigemptyset(&both);
      for (const int number : {SIGINT, SIGTERM}) ::sigaddset(&both, number);
      ::pthread_sigmask(SIG_BLOCK, &both, nullptr);
      for (const int number : {SIGINT, SIGTERM}) ::kill(::getpid(), number);
      std::barrier ready(2);
      const auto take = [&] {
        ready.arrive_and_wait();
        ::pthread_sigmask(SIG_UNBLOCK, &both, nullptr);
        ::pause();
      };
      const std::jthread other(take);
      take();
    });
    CHECK((result.exit == -SIGINT || result.exit == -SIGTERM));
    CHECK(result.err ==
          "\r\x1b[Kazimuth: saving; once more stops at once\r\n"
          "\r\x1b[Kazimuth: stopped at once\r\n");
  }
}

TEST_CASE("upon a second signal a training speaks of its checkpoint, a download of none") {
  TemporaryFolder folder;
  // Two signals come at once, that no step and no poll ends between them.
  const auto stopped_twice = [](const std::vector<std::string>& arguments, const std::filesystem::path& sign) {
    RunningCommand command(arguments);
    REQUIRE(command.wait_until([&] { return std::filesystem::exists(sign); }));
    for (const int number : {SIGSTOP, SIGINT, SIGTERM, SIGCONT}) command.signal(number);
    const CommandResult result = command.wait();
    CHECK((result.exit == -SIGINT || result.exit == -SIGTERM));
    return result.err;
  };
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  write_file(config, tiny_config(R"({"epochs": 100000, "threads": 1})"));
  CHECK(has(stopped_twice({"train", config, "--run", run}, run + "/metrics.jsonl"),
            "azimuth: finishing the step, then saving; once more stops at once\n"
            "azimuth: stopped at once; the last checkpoint stays as it was\n"));

  // A server that never answers.
  const int server = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  REQUIRE(::bind(server, reinterpret_cast<sockaddr*>(&address), length) == 0);
  REQUIRE(::listen(server, 1) == 0);
  ::getsockname(server, reinterpret_cast<sockaddr*>(&address), &length);
  const std::string url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  const ScopedVariable cache("XDG_CACHE_HOME", folder.path.c_str());
  const std::string said = stopped_twice({"data", "get", "cifar10", "--url", url},
                                         folder.path / "azimuth" / "datasets" / "cifar-10-binary.tar.gz.part");
  ::close(server);
  CHECK(said ==
        "azimuth: stopping the download; once more stops at once\n"
        "azimuth: stopped at once\n");
}

TEST_CASE("after a guard, signals do what they did before it") {
  struct sigaction before {
  }, after{};
  before.sa_handler = SIG_IGN;
  struct sigaction standard {};
  ::sigaction(SIGTERM, &before, &standard);
  {
    InterruptGuard guard("saving");
    ::raise(SIGTERM);
    CHECK(InterruptGuard::received() == Exit::terminated);
  }
  CHECK(InterruptGuard::received() == Exit::done);
  ::sigaction(SIGTERM, &standard, &after);
  CHECK((after.sa_handler == SIG_IGN));
}
