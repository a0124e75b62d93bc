// What becomes of a command whose stdout or stderr takes nothing: a full disk, a stream that is closed, a reader that is gone.
#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/base/files.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"

using az::read_file;
using az::write_file;
using az::test::has;
namespace fs = std::filesystem;

namespace {

// Runs azimuth with redirections as a shell understands them: ">&-".
CommandResult redirected(const std::string& redirections, const std::vector<std::string>& arguments) {
  return run_through({"bash", "-c", R"(exec "$0" "$@" )" + redirections}, arguments);
}

// A pipe that nobody reads, as descriptor 3.
constexpr const char* broken_pipe = "exec 3> >(:); wait $!; ";

struct Place {
  explicit Place(const std::string& train = R"({"epochs": 2, "log_every": 1, "threads": 1, "deterministic": true})") {
    write_file(config, tiny_config(train));
  }
  std::vector<std::string> train(const std::string& name) const { return {"train", config, "--run", run(name)}; }
  std::string run(const std::string& name) const { return (folder.path / name).string(); }

  TemporaryFolder folder;
  std::string config = (folder.path / "exp.json").string();
};

bool same_weights(const std::string& one, const std::string& other) {
  const std::string model = "/checkpoints/last/model.safetensors";
  return read_file(one + model) == read_file(other + model);
}

}  // namespace

TEST_CASE("what stdout does not take is a failure, with its reason; nothing else is said") {
  const Place place;
  const std::vector<std::vector<std::string>> commands = {{"describe"},
                                                          {"describe", "sgdp"},
                                                          {"schema"},
                                                          {"check", place.config, "--json"},
                                                          {"data", "path"},
                                                          {"lesson"},
                                                          {"data", "list", "--json"},
                                                          {"--help"},
                                                          {"--version"}};
  for (const auto& command : commands) {
    CAPTURE(command[0]);
    CommandResult result = redirected(">/dev/full", command);
    CHECK(result.exit == 1);
    CHECK(result.err == "azimuth: stdout cannot be written: No space left on device\n");
    result = redirected(">&-", command);
    CHECK(result.exit == 1);
    CHECK(result.err == "azimuth: stdout cannot be written: Bad file descriptor\n");
    result = run_through({"bash", "-c", std::string(broken_pipe) + R"(exec "$0" "$@" >&3)"}, command);
    CHECK(result.exit == -SIGPIPE);
    CHECK(result.err == "");
  }
  // Who is told that pipes break, and not ended by a signal, is told so.
  const CommandResult result =
      run_through({"bash", "-c", std::string("trap '' PIPE; ") + broken_pipe + R"(exec "$0" "$@" >&3)"}, {"describe"});
  CHECK(result.exit == 1);
  CHECK(result.err == "azimuth: stdout cannot be written: Broken pipe\n");
}

TEST_CASE("a failure keeps its exit code whatever its message meets") {
  for (const char* redirections : {"2>/dev/full", "2>&-", ">/dev/full 2>&-", "<&- >&- 2>&-"}) {
    CAPTURE(redirections);
    CHECK(redirected(redirections, {"describe", "resnt"}).exit == 2);
  }
}

TEST_CASE("a training is trained to its end whatever becomes of its messages, and none of them gets into its files") {
  const Place place;
  REQUIRE(run_azimuth(place.train("whole")).exit == 0);
  const auto check = [&](const std::string& name, const CommandResult& result, int exit) {
    CAPTURE(name);
    CHECK_MESSAGE(result.exit == exit, result.err);
    CHECK(same_weights(place.run(name), place.run("whole")));
    std::istringstream lines(read_file(place.run(name) + "/metrics.jsonl"));
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) CHECK(nlohmann::json::accept(line));
    CHECK(count == 2 * 4 + 2);
  };
  check("full", redirected("2>/dev/full", place.train("full")), 0);
  check("closed", redirected("2>&-", place.train("closed")), 0);
  check("unread", run_through({"bash", "-c", std::string(broken_pipe) + R"(exec "$0" "$@" 2>&3)"}, place.train("unread")), 0);
  check("mute", redirected("<&- >&- 2>&-", place.train("mute")), 1);  // stdout could not be written
}
