#include "core/backend/threads.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <thread>

#include "core/backend/cores.h"
#include "core/backend/info.h"
#include "core/backend/layout.h"
#include "core/backend/startup.h"
#include "core/ops.h"
#include "tests/data/temporary_folder.h"

using namespace az;
namespace fs = std::filesystem;

namespace {

constexpr double no_limit = std::numeric_limits<double>::infinity();

// What a machine with these files grants.
double granted(std::initializer_list<std::pair<const char*, const char*>> files) {
  TemporaryFolder root;
  for (const auto& [name, text] : files) {
    const std::string path = root.path.string() + name;
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path) << text;
  }
  return granted_cores(root.path.string());
}

constexpr const char *self = "/proc/self/cgroup", *mounts = "/proc/self/mountinfo";
constexpr const char* mount2 = "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr const char* mount1 =
    "30 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:10 - cgroup cgroup rw,cpu,cpuacct\n"
    "31 23 0:28 / /sys/fs/cgroup/cpuset rw,nosuid shared:11 - cgroup cgroup rw,cpuset\n";

// Threads of this process, as the kernel counts them.
int64_t threads_of_process() { return std::distance(fs::directory_iterator("/proc/self/task"), fs::directory_iterator()); }

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

TEST_CASE("control groups, version 2: the least limit between a process's group and the top") {
  CHECK(granted({{self, "0::/\n"}, {mounts, mount2}, {"/sys/fs/cgroup/cpu.max", "50000 100000\n"}}) == 0.5);
  CHECK(granted({{self, "0::/a/b\n"}, {mounts, mount2}, {"/sys/fs/cgroup/a/b/cpu.max", "150000 100000\n"}}) == 1.5);
  CHECK(granted({{self, "0::/a/b\n"},
                 {mounts, mount2},
                 {"/sys/fs/cgroup/a/b/cpu.max", "max 100000\n"},
                 {"/sys/fs/cgroup/a/cpu.max", "20000 10000\n"},
                 {"/sys/fs/cgroup/cpu.max", "max 100000\n"}}) == 2);
  CHECK(granted({{self, "0::/a/b\n"},
                 {mounts, mount2},
                 {"/sys/fs/cgroup/a/b/cpu.max", "100000 100000\n"},
                 {"/sys/fs/cgroup/a/cpu.max", "300000 100000\n"},
                 {"/sys/fs/cgroup/ab/cpu.max", "1000 100000\n"}}) == 1);
}

TEST_CASE("control groups, version 1: the hierarchy that has the cpu controller counts") {
  const char* groups = "9:cpuset:/other\n4:cpu,cpuacct:/a/b\n1:name=systemd:/x\n";
  CHECK(granted({{self, groups},
                 {mounts, mount1},
                 {"/sys/fs/cgroup/cpuset/other/cpu.cfs_quota_us", "1\n"},
                 {"/sys/fs/cgroup/cpuset/other/cpu.cfs_period_us", "100000\n"},
                 {"/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n"},
                 {"/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n"},
                 {"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "25000\n"},
                 {"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "10000\n"}}) == 2.5);
}

TEST_CASE("control groups: both versions at once, mounts of a part, names with spaces") {
  const std::string both = std::string(mount1) + mount2;
  CHECK(granted({{self, "4:cpu,cpuacct:/\n0::/a\n"},
                 {mounts, both.c_str()},
                 {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "300000\n"},
                 {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"},
                 {"/sys/fs/cgroup/a/cpu.max", "200000 100000\n"}}) == 2);
  // A container: the group's name is the host's, and its folder is mounted as the top.
  const char* part = "40 30 0:26 /docker/1f /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
  CHECK(granted({{self, "0::/docker/1f\n"}, {mounts, part}, {"/sys/fs/cgroup/cpu.max", "70000 100000\n"}}) == 0.7);
  CHECK(granted({{self, "0::/docker/1f/job\n"}, {mounts, part}, {"/sys/fs/cgroup/job/cpu.max", "60000 100000\n"}}) == 0.6);
  CHECK(granted({{self, "0::/docker/1fa\n"}, {mounts, part}, {"/sys/fs/cgroup/cpu.max", "80000 100000\n"}}) == 0.8);
  const char* spaced = "29 22 0:26 / /sys/control\\040groups rw - cgroup2 cgroup2 rw\n";
  CHECK(granted({{self, "0::/a b\n"}, {mounts, spaced}, {"/sys/control groups/a b/cpu.max", "90000 100000\n"}}) == 0.9);
}

TEST_CASE("control groups: no limit where there is none, or none that can be read") {
  CHECK(granted({}) == no_limit);
  CHECK(granted({{self, "0::/\n"}}) == no_limit);
  CHECK(granted({{self, "0::/a\n"}, {mounts, mount2}}) == no_limit);
  CHECK(granted({{self, "0::/\n"}, {mounts, mount2}, {"/sys/fs/cgroup/cpu.max", "max 100000\n"}}) == no_limit);
  for (const char* limit : {"", "max", "100000", "100000 0", "0 100000", "-5 100000", "x y"})
    CHECK(granted({{self, "0::/\n"}, {mounts, mount2}, {"/sys/fs/cgroup/cpu.max", limit}}) == no_limit);
  for (const char* text : {"", "\n", "0\n", "0:\n", "0::\n", "::::\n", ":cpu\n"})
    CHECK(granted({{self, text}, {mounts, "- - -\n29 22 0:26 / /sys\n\n29 22 0:26 / /x rw - cgroup2\n"}}) == no_limit);
}

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
    if (count > 1) CHECK(threads_left(count) == count);  // libgomp keeps its threads while one is enough
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
  const Layout* layout = blocked_layout(image.shape(), DType::f32, 16);
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
    const char* given = std::getenv(name);
    const std::string before = given ? given : "";
    value ? ::setenv(name, value, 1) : ::unsetenv(name);
    body();
    given ? ::setenv(name, before.c_str(), 1) : ::unsetenv(name);
  };
  with("OMP_WAIT_POLICY", nullptr, [&] {
    with("GOMP_SPINCOUNT", nullptr, [&] { CHECK(names().find("GOMP_SPINCOUNT ") == 0); });
    with("GOMP_SPINCOUNT", "", [&] { CHECK(names().find("GOMP_SPINCOUNT") == std::string::npos); });
  });
  with("OMP_WAIT_POLICY", "active", [&] { CHECK(names().find("GOMP_SPINCOUNT") == std::string::npos); });
  with("OPENBLAS_CORETYPE", "Haswell", [&] { CHECK(names().find("OPENBLAS") == std::string::npos); });
}
