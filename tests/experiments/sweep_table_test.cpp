#include <doctest/doctest.h>

#include <filesystem>

#include "core/config/json_document.h"
#include "experiments/files.h"
#include "experiments/sweep/table.h"
#include "tests/compare.h"
#include "tests/experiments/sweep_place.h"

using namespace az::experiments;
using az::config::Value;
using az::test::has;
namespace fs = std::filesystem;

namespace {

// Runs of one group that are done, with a metrics.jsonl as given.
struct DoneRuns {
  explicit DoneRuns(const std::vector<std::string>& metrics) {
    register_builtin();
    for (const std::string& text : metrics) {
      const std::string name = "a,seed=" + std::to_string(sweep.runs.size() + 1);
      fs::create_directory(folder.path / name);
      if (!text.empty()) write_file(path(name), text);
      sweep.runs.push_back({.group = "a", .name = name, .base = "", .overrides = {"optimizer.lr=0.1"}, .config = {}});
      result.states.push_back(RunState::done);
      result.failures.emplace_back();
    }
  }
  std::string path(const std::string& run) const { return (folder.path / run / "metrics.jsonl").string(); }
  SweepTable table() const { return sweep_table(sweep, result, folder.path.string()); }

  TemporaryFolder folder;
  Sweep sweep{.name = "s", .description = "", .runs = {}};
  SweepResult result;
};

const std::string good =
    "{\"kind\":\"step\",\"step\":1}\n{\"kind\":\"epoch\",\"epoch\":1,\"test_accuracy\":0.5,\"train_loss\":2.0}\n";

}  // namespace

TEST_CASE("a finished run whose metrics cannot be read fails with their place, and the table is made of the others") {
  const DoneRuns runs({good, "{\"kind\":\"step\",\"step\":1}\n\n{\"kind\":\"epoch\",\"epoch\":1,\"test_acc\n"});
  const SweepTable table = runs.table();
  const std::string failure = table.runs.as_array()[1].at("failure").as_string();
  CHECK(failure.find("metrics unreadable: " + runs.path("a,seed=2") + ":3:") == 0);
  CHECK(table.runs.as_array()[1].at("state").as_string() == "done");
  CHECK_FALSE(table.runs.as_array()[0].find("failure"));
  CHECK(has(table.html(), "<li>a,seed=2: metrics unreadable: "));
  REQUIRE(table.groups.size() == 1);
  CHECK(table.groups[0].done == 2);
  CHECK(table.groups[0].measures.at(0).mean == 0.5);
}
