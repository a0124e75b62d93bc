// The program on odd machines, and what it makes of the variables that count only from its start.
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>

#include "core/base/cores.h"
#include "core/base/files.h"
#include "core/tensor/storage.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"
#include "tests/scoped_variable.h"

using az::read_file;
using az::write_file;
using az::test::has;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

using Words = std::vector<std::string>;

// Starts a program without any of the variables that these tests are about, but those given.
Words with(const Words& settings) {
  Words launcher = {"env"};
  for (const char* name : {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OPENBLAS_CORETYPE", "OMP_NUM_THREADS"}) {
    launcher.push_back("-u");
    launcher.push_back(name);
  }
  launcher.insert(launcher.end(), settings.begin(), settings.end());
  return launcher;
}

// The doctor's findings by subject.
json doctor(const Words& launcher) {
  const CommandResult result = run_through(launcher, {"doctor", "--json"});
  INFO(result.err);
  REQUIRE(result.exit == 0);
  json findings;
  for (const json& finding : json::parse(result.out)) findings[finding["subject"].get<std::string>()] = finding;
  return findings;
}

std::string state(const Words& launcher, const char* subject) { return doctor(launcher)[subject]["state"]; }
struct Training {
  std::string notes;
  json environment, last_epoch;
};

// A small training, which must succeed.
Training train(const Words& launcher, const Words& options = {}) {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  write_file(config, tiny_config());
  Words words = {"train", config, "--run", run};
  words.insert(words.end(), options.begin(), options.end());
  const CommandResult result = run_through(launcher, words);
  INFO(result.err);
  REQUIRE(result.exit == 0);
  const std::string log = read_file(run + "/metrics.jsonl");
  return {result.err, json::parse(read_file(run + "/environment.json")),
          json::parse(log.substr(log.rfind("{\"kind\":\"epoch\"")))};
}

std::string first_allowed_core() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == "Cpus_allowed_list:" && status >> word) return word.substr(0, word.find_first_of(",-"));
  }
  return "0";
}

// A control group with a limit, where this process may make one.
class LimitedGroup {
 public:
  using Setting = std::pair<const char*, const char*>;  // a file of the group's folder, and what to write there
  // In version 2 of control groups, and in the hierarchy of version 1 that has the controller.
  LimitedGroup(const Setting& version2, const char* controller, const Setting& version1) {
    const auto make = [&](const std::string& mount, const Setting& setting) {
      folder_ = mount + "/azimuth_test_" + std::to_string(::getpid());
      std::error_code error;
      if (!fs::create_directory(folder_, error)) return false;
      const std::string file = folder_ + "/" + setting.first;
      if (fs::exists(file)) {  // made by the kernel, with the folder
        std::ofstream(file) << setting.second;
        const bool limited = read_file(file).starts_with(setting.second);
        if (limited && std::system(("exec 2>/dev/null; " + join()).c_str()) == 0) return true;
      }
      fs::remove(folder_, error);
      return false;
    };
    made_ = make("/sys/fs/cgroup", version2) || make(std::string("/sys/fs/cgroup/") + controller, version1);
    if (!made_) MESSAGE("skipped: no control group can be made here");
  }
  ~LimitedGroup() {
    if (made_) CHECK(::rmdir(folder_.c_str()) == 0);
  }
  explicit operator bool() const { return made_; }
  // Starts a program in the group.
  Words launcher() const {
    Words words = {"sh", "-c", join() + " && exec \"$@\"", "sh"};
    for (const std::string& word : with({})) words.push_back(word);
    return words;
  }

 private:
  std::string join() const { return "echo $$ > " + folder_ + "/cgroup.procs"; }

  std::string folder_;
  bool made_ = false;
};

}  // namespace

TEST_CASE("the program starts again with the variables that serve it, and leaves those alone that are set") {
  CHECK(state(with({}), "waiting") == "GOMP_SPINCOUNT=10000");
  CHECK(state(with({"GOMP_SPINCOUNT=77"}), "waiting") == "GOMP_SPINCOUNT=77");
  CHECK(state(with({"OMP_WAIT_POLICY=PASSIVE"}), "waiting") == "OMP_WAIT_POLICY=PASSIVE");
  const json active = doctor(with({"OMP_WAIT_POLICY=active"}));
  CHECK(active["waiting"]["state"] == "OMP_WAIT_POLICY=active");
  CHECK(active["waiting"]["remedy"] == "unset OMP_WAIT_POLICY and set GOMP_SPINCOUNT=10000");
  CHECK(has(state(with({"OPENBLAS_CORETYPE=Nehalem"}), "OpenBLAS"), "Nehalem kernels (OPENBLAS_CORETYPE=Nehalem)"));
  CHECK(doctor(with({}))["OpenBLAS"]["slower"] == "");
  CHECK(doctor(with({}))["thread pool"]["ok"] == true);
}

TEST_CASE("starting again changes neither arguments nor exit code") {
  const CommandResult result = run_through(with({}), {"describe", "no such \"thing\""});
  CHECK(result.exit == 2);
  CHECK(has(result.err, "nothing is called \"no such \"thing\"\""));
  // Run by the dynamic linker, /proc/self/exe is the linker.
  const char* linker = "/lib64/ld-linux-x86-64.so.2";
  if (fs::exists(linker)) {
    Words launcher = with({});
    launcher.push_back(linker);
    CHECK(run_through(launcher, {"--version"}).out == run_azimuth({"--version"}).out);
  }
}

TEST_CASE("one core: one thread, and a note") {
  Words launcher = with({"taskset", "-c", first_allowed_core()});
  const Training training = train(launcher);
  CHECK(training.environment["threads"] == 1);
  if (az::cores().online > 1) {
    CHECK(has(training.environment["threads_by"], "affinity: 1 of "));
    CHECK(has(training.notes, "azimuth: note: one thread does all the work (affinity: 1 of "));
  }
}

TEST_CASE("a control group of half a core: one thread, and a note") {
  const LimitedGroup group({"cpu.max", "50000 100000"}, "cpu", {"cpu.cfs_quota_us", "50000"});
  if (!group) return;
  const Training training = train(group.launcher());
  CHECK(training.environment["threads"] == 1);
  CHECK(has(training.environment["threads_by"], "control group: 0.5 of "));
  CHECK(has(training.notes, "azimuth: note: training stands still part of the time (control group: 0.5 of "));
}

#if !defined(__SANITIZE_ADDRESS__)  // which takes memory of its own
// Run by the next one.
TEST_CASE("memory: in 512 MiB, what else the program holds counts, and what tensors left does not count twice" *
          doctest::skip()) {
  constexpr size_t mib = size_t(1) << 20;
  const auto used = [](size_t bytes) {
    auto storage = std::make_unique<az::Storage>(bytes);
    std::memset(storage->data(), 1, bytes);
    return storage;
  };
  used(400 * mib);
  CHECK(az::memory_stats().cached >= 400 * mib);
  used(420 * mib);
  az::release_cached_memory();
  const std::vector<char> other(300 * mib, 1);
  CHECK_THROWS_AS(used(300 * mib), std::bad_alloc);
  const auto small = used(80 * mib);
  used(60 * mib);
  CHECK(az::memory_stats().cached >= 60 * mib);
  const auto part = used(40 * mib);  // of the 60, which stay
  CHECK(az::memory_stats().cached >= 20 * mib);
}

TEST_CASE("a control group of 512 MiB: a batch that does not fit into it is refused before the kernel ends the program") {
  const LimitedGroup group({"memory.max", "536870912"}, "memory", {"memory.limit_in_bytes", "536870912"});
  if (!group) return;
  CHECK(state(group.launcher(), "memory") == "0.5 GiB (control group)");
  TemporaryFolder folder;
  const CommandResult result = run_through(
      group.launcher(), {"train", "experiments/configs/quickstart.json", "--run", (folder.path / "run").string(), "--set",
                         "data.train_images=2048", "--set", "data.test_images=10", "--set", "data.batch_size=1024"});
  CHECK(result.exit == 1);
  CHECK(has(result.err, "out of memory: "));
  const ScopedVariable self("AZIMUTH_CLI", fs::read_symlink("/proc/self/exe").c_str());
  const CommandResult others = run_through(group.launcher(), {"--no-skip", "--test-case=memory: in 512 MiB*"});
  CHECK_MESSAGE(others.exit == 0, others.out);
}
#endif

TEST_CASE("a number of threads that was given is taken, with a note where there are fewer cores") {
  const Training given = train(with({}), {"--set", "train.threads=1"});
  CHECK(given.environment["threads"] == 1);
  CHECK(given.environment["threads_by"] == "train.threads");
  const std::string many = std::to_string(az::cores().threads() + 3);
  const Training variable = train(with({"OMP_NUM_THREADS=" + many}));
  CHECK(std::to_string(variable.environment["threads"].get<int>()) == many);
  CHECK(variable.environment["threads_by"] == "OMP_NUM_THREADS");
  CHECK(has(variable.notes, "azimuth: note: " + many + " threads (OMP_NUM_THREADS) take turns on "));
  const Training both = train(with({"OMP_NUM_THREADS=1"}), {"--set", "train.threads=" + many});
  CHECK(both.environment["threads_by"] == "train.threads");
  CHECK(both.last_epoch["train_loss"].get<double>() ==
        doctest::Approx(given.last_epoch["train_loss"].get<double>()).epsilon(1e-3));
}

TEST_CASE("OpenMP gives every thread that it promised, whatever the environment allows it") {
  CHECK(state(with({"OMP_THREAD_LIMIT=1", "OMP_NUM_THREADS=4"}), "threads") == "1 (OMP_THREAD_LIMIT)");
  CHECK(train(with({"OMP_DYNAMIC=true", "OMP_NUM_THREADS=4"})).environment["threads"] == 4);
  if (az::cores().threads() > 1) CHECK(train(with({"OMP_PROC_BIND=true"})).environment["threads"] == az::cores().threads());
}

TEST_CASE("oneDNN held to narrower vectors: the same numbers up to rounding, and a note") {
  const double loss = train(with({})).last_epoch["train_loss"];
  for (const auto& [set, note] : {std::pair{"AVX2", "without AVX-512, "}, std::pair{"SSE41", "with no more than SSE4.1, "}}) {
    const Training training = train(with({std::string("ONEDNN_MAX_CPU_ISA=") + set}));
    CHECK(training.last_epoch["train_loss"].get<double>() == doctest::Approx(loss).epsilon(1e-3));
    CHECK(has(training.notes, std::string("azimuth: note: ") + note));
  }
}
