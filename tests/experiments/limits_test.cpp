#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "core/base/files.h"
#include "core/tensor/heap.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"

using az::write_file;

// The program under limits that the shell sets.
namespace az::test {

#if !defined(AZ_ADDRESS_SANITIZER)  // which itself takes more addresses than any such limit leaves

namespace {

// What it does under `ulimit LIMIT`, with two threads: each takes addresses. Killed where it takes a minute, exit code 137.
CommandResult under(const std::string& limit, const std::vector<std::string>& arguments) {
  return run_through({"bash", "-c", "ulimit " + limit + R"(; OMP_NUM_THREADS=2 exec timeout --signal=KILL 60 "$0" "$@")"},
                     arguments);
}

// It does its work, or says in one line why it cannot; where there is not even room for its libraries, the system's loader
// does.
void works_or_tells(const CommandResult& result) {
  CAPTURE(result.exit);
  CAPTURE(result.err);
  if (result.exit == 0) return;
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  if (result.exit == 127) {
    CHECK(has(result.err, "error while loading shared libraries: "));
  } else {
    CHECK(result.exit == 1);
    CHECK(has(result.err, "azimuth: "));
  }
}

}  // namespace

TEST_CASE("under a limit on memory the program works, or ends with a sentence that says why not") {
  bool refused = false, worked = false;
  for (const char* kind : {"-v", "-d"}) {
    for (int kib = 50'000; kib < 3'000'000; kib += kib / 4) {
      const std::string limit = std::string(kind) + " " + std::to_string(kib);
      CAPTURE(limit);
      const CommandResult result = under(limit, {"describe", "sgdp"});
      works_or_tells(result);
      refused |= has(result.err, "azimuth: cannot start: OpenBLAS finds no room for its buffers");
      worked |= result.exit == 0;
    }
  }
  CHECK(refused);
  CHECK(worked);
}

TEST_CASE("more threads than a limit leaves room for are refused with a sentence, before anything is made") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  write_file(config, tiny_config(R"({"epochs": 1, "max_steps": 2})"));
  const auto refused = [&](const std::string& settings, const std::string& start, std::vector<std::string> more) {
    more.insert(more.begin(), {"train", config, "--run", run});
    const CommandResult result = run_through({"bash", "-c", settings + R"(; exec timeout --signal=KILL 60 "$0" "$@")"}, more);
    CAPTURE(result.err);
    CHECK(result.exit == 1);
    CHECK(result.err.starts_with("azimuth: " + start + ": the limits of this process leave "));
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
    CHECK_FALSE(std::filesystem::exists(run));
  };
  // Stacks of 8 MiB: 400 take 3.1 GiB.
  const std::string limit = "ulimit -s 8192; ulimit -v 3000000";
  refused(limit, "there cannot be 400 threads (train.threads)", {"--set", "train.threads=400"});
  refused(limit + "; export OMP_NUM_THREADS=400", "there cannot be 400 threads (OMP_NUM_THREADS)", {});
  refused(limit + "; export OMP_STACKSIZE='100 M'", "there cannot be 40 threads (train.threads)",
          {"--set", "train.threads=40"});
  refused("ulimit -s 8192; ulimit -d 3000000", "there cannot be 500 threads (train.threads)", {"--set", "train.threads=500"});
}

TEST_CASE("under a limit on memory a training ends as it should, or with a sentence that says why not") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string();
  write_file(config, tiny_config(R"({"epochs": 1, "max_steps": 2})"));
  for (const std::string kind : {"-v", "-d"}) {
    bool worked = false;
    for (int kib = 300'000; kib < 5'000'000; kib += kib < 900'000 ? 25'000 : kib / 3) {
      const std::string limit = kind + " " + std::to_string(kib);
      CAPTURE(limit);
      const CommandResult result =
          under(limit, {"train", config, "--run", (folder.path / (kind + std::to_string(kib))).string()});
      CAPTURE(result.err);
      if (result.exit == 0)
        worked = true;
      else
        CHECK(has(result.err, "azimuth: "));
      CHECK((result.exit == 0 || result.exit == 1));
    }
    CHECK(worked);
  }
}

#endif

}  // namespace az::test
