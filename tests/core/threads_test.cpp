#include "core/base/threads.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>
#include <thread>

#include "core/backend/info.h"
#include "core/backend/reorder.h"
#include "core/backend/startup.h"
#include "core/base/cores.h"
#include "core/ops.h"
#include "tests/scoped_variable.h"

using namespace az;
namespace fs = std::filesystem;

namespace {

constexpr double no_limit = std::numeric_limits<double>::infinity();

// Threads of this process, as the kernel counts them.
int64_t threads_of_process() { return std::distance(fs::directory_iterator("/proc/self/task"), fs::directory_iterator()); }

// Those that a program without any library of ours has beside its one: an emulator of the processor runs some.
int64_t threads_of_emulator() {
  const std::unique_ptr<FILE, int (*)(FILE*)> list(popen("ls /proc/self/task | wc -l", "r"), pclose);
  int count = 0;
  REQUIRE(std::fscanf(list.get(), "%d", &count) == 1);
  return count - 1;
}

// The same, once threads that were told to end have gone, or after ten seconds.
int64_t threads_left(int64_t expected) {
  for (int i = 0; i < 1000 && threads_of_process() > expected; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return threads_of_process();
}

// Every library's threads have something to do.
void work() {
  Tensor image = randn({8, 16, 32, 32}), weight = randn({16, 16, 3, 3});
  conv2d(image, weight, {}, {.padding = 1});
  Tensor matrix = randn({300, 300}, DType::f64);
  matmul(matrix, matrix);
  exp(matrix);
}

}  // namespace

TEST_CASE("threads: one for each core or part of one that may be used, and one at least") {
  CHECK(Cores{.online = 8, .allowed = 4, .granted = no_limit}.threads() == 4);
  CHECK(Cores{.online = 8, .allowed = 4, .granted = 3}.threads() == 3);
  CHECK(Cores{.online = 8, .allowed = 4, .granted = 1.5}.threads() == 2);
  CHECK(Cores{.online = 8, .allowed = 1, .granted = 6}.threads() == 1);
  CHECK(Cores{.online = 8, .allowed = 8, .granted = 0.5}.threads() == 1);
  const Cores here = cores();
  CHECK(here.online >= here.allowed);
  CHECK(here.allowed >= 1);
  CHECK(here.granted > 0);
}

TEST_CASE("threads: oneDNN, OpenBLAS and our loops share one pool") {
  CHECK(backend_info().openblas_shares_openmp);
  const int before = thread_count();
  const std::string origin = thread_count_origin();
  for (int count : {3, 1, 2}) {
    set_thread_count(count);
    CHECK(thread_count() == count);
    CHECK(thread_count_origin() == "the program");
    work();
    const int64_t all = count + threads_of_emulator();
    if (count > 1) CHECK(threads_left(all) == all);  // libgomp keeps its threads while one is enough
  }
  set_thread_count(-1);
  CHECK(thread_count() == 1);
  set_thread_count(before, origin);
}

TEST_CASE("threads: their number holds on whichever thread an op is called") {
  const int before = thread_count();
  const std::string origin = thread_count_origin();
  set_thread_count(3);
  work();
  struct Use {
    std::string what;
    std::function<void()> call;
  };
  Tensor image = randn({32, 16, 32, 32}), weight = randn({16, 16, 3, 3}), single = randn({300, 300});
  Tensor matrix = randn({300, 300}, DType::f64);
  const Layout* layout = blocked_layout(16);
  for (const Use& use : std::initializer_list<Use>{{"a loop of ours", [&] { exp(matrix); }},
                                                   {"a convolution", [&] { conv2d(image, weight, {}, {.padding = 1}); }},
                                                   {"a reorder", [&] { reorder(image, layout); }},
                                                   {"an f32 product", [&] { matmul(single, single); }},
                                                   {"an f64 product", [&] { matmul(matrix, matrix); }}}) {
    CAPTURE(use.what);
    const int64_t alone = threads_of_process();
    int64_t during = 0;
    std::thread([&] {
      use.call();
      during = threads_of_process();  // this one, and its team's others
    }).join();
    CHECK(during == alone + 3);
    threads_left(alone);  // the team of a thread that has ended is on its way out
  }
  set_thread_count(before, origin);
}

TEST_CASE("variables for the start: what the user has set stays") {
  const auto names = [] {
    std::string all;
    for (const auto& [name, value] : startup_variables()) all += name + " ";
    return all;
  };
  const auto with = [](const char* name, const char* value, auto body) {
    const ScopedVariable variable(name, value);
    body();
  };
  with("OMP_WAIT_POLICY", nullptr, [&] {
    with("GOMP_SPINCOUNT", nullptr, [&] { CHECK(names().find("GOMP_SPINCOUNT ") == 0); });
    with("GOMP_SPINCOUNT", "", [&] { CHECK(names().find("GOMP_SPINCOUNT") == std::string::npos); });
  });
  with("OMP_WAIT_POLICY", "active", [&] { CHECK(names().find("GOMP_SPINCOUNT") == std::string::npos); });
  with("OPENBLAS_CORETYPE", "Haswell", [&] { CHECK(names().find("OPENBLAS") == std::string::npos); });
}
