#include "core/base/control_groups.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <limits>

#include "tests/data/temporary_folder.h"

using namespace az;
namespace fs = std::filesystem;

namespace {

constexpr double no_limit = std::numeric_limits<double>::infinity();

struct Granted {
  double cores, memory;
};

// What a machine with these files grants.
Granted granted_by(std::initializer_list<std::pair<const char*, const char*>> files) {
  TemporaryFolder root;
  for (const auto& [name, text] : files) {
    const std::string path = root.path.string() + name;
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path) << text;
  }
  return {granted_cores(root.path.string()), granted_memory(root.path.string())};
}
double granted(std::initializer_list<std::pair<const char*, const char*>> files) { return granted_by(files).cores; }

constexpr const char *self = "/proc/self/cgroup", *mounts = "/proc/self/mountinfo";
constexpr const char* mount2 = "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr const char* mount1 =
    "30 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:10 - cgroup cgroup rw,cpu,cpuacct\n"
    "31 23 0:28 / /sys/fs/cgroup/cpuset rw,nosuid shared:11 - cgroup cgroup rw,cpuset\n"
    "32 23 0:29 / /sys/fs/cgroup/memory rw,nosuid shared:12 - cgroup cgroup rw,memory\n";

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

TEST_CASE("control groups: memory, of which version 1 writes no limit as a number that no machine has") {
  const auto both = granted_by({{self, "0::/a/b\n"},
                                {mounts, mount2},
                                {"/sys/fs/cgroup/a/b/memory.max", "max\n"},
                                {"/sys/fs/cgroup/a/b/cpu.max", "50000 100000\n"},
                                {"/sys/fs/cgroup/a/memory.max", "4294967296\n"}});
  CHECK(both.cores == 0.5);
  CHECK(both.memory == 4294967296.0);
  const char* groups = "9:memory:/job\n4:cpu,cpuacct:/\n";
  const auto version1 = granted_by({{self, groups},
                                    {mounts, mount1},
                                    {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"},
                                    {"/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "1048576\n"}});
  CHECK(version1.cores == no_limit);
  CHECK(version1.memory == 1048576);
  CHECK(granted_by(
            {{self, groups}, {mounts, mount1}, {"/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "9223372036854771712\n"}})
            .memory > 9e18);
  for (const char* limit : {"", "max", "x", "-1", "0"})
    CHECK(granted_by({{self, "0::/\n"}, {mounts, mount2}, {"/sys/fs/cgroup/memory.max", limit}}).memory == no_limit);
}
