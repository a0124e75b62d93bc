#include <doctest/doctest.h>

#include <filesystem>

#include "core/base/files.h"
#include "core/config/json_document.h"
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
      if (!text.empty()) az::write_file(path(name), text);
      sweep.runs.push_back({.group = "a", .name = name, .base = "", .overrides = {"optimizer.lr=0.1"}, .config = {}});
      result.states.push_back(RunState::done);
      result.failures.emplace_back();
    }
  }
  std::string path(const std::string& run) const { return (folder.path / run / "metrics.jsonl").string(); }
  SweepTable table() const { return sweep_table(sweep, result, folder.path.string()); }

  TemporaryFolder folder;
  Sweep sweep{.name = "s", .description = "", .runs = {}, .legend = {}};
  SweepResult result;
};

const std::string good =
    "{\"kind\":\"step\",\"step\":1}\n{\"kind\":\"epoch\",\"epoch\":1,\"test_accuracy\":0.5,\"train_loss\":2.0}\n";

// The table of a sweep none of whose runs is done.
struct Planned {
  explicit Planned(const std::string& text) : place(text) {
    register_builtin();
    sweep = load_sweep(place.sweep);
    const SweepResult absent{.states = std::vector(sweep.runs.size(), RunState::absent),
                             .failures = std::vector<std::string>(sweep.runs.size())};
    table = sweep_table(sweep, absent, place.runs);
  }
  SweepPlace place;
  Sweep sweep;
  SweepTable table;
};

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

TEST_CASE("the table says of how many finished runs a mean is, where some have no metrics") {
  const DoneRuns whole({good, good}), one({good, ""});
  CHECK(has(whole.table().text(), "\na       2/2  50.00 ± 0.00 %  50.00 %"));
  CHECK_FALSE(has(whole.table().text(), " of "));
  const SweepTable table = one.table();
  CHECK(has(table.text(), "\na       2/2  50.00 % (1 of 2)  50.00 %  2.0000 (1 of 2)  2.0000\n"));
  CHECK(has(table.html(), "<td>50.00 % (1 of 2)</td>"));
  CHECK(table.csv() ==
        "group,runs,done,failed,test_accuracy_mean,test_accuracy_spread,test_accuracy_best,test_accuracy_runs,"
        "train_loss_mean,train_loss_spread,train_loss_best,train_loss_runs\r\na,2,2,0,0.5,,0.5,1,2,,2,1\r\n");
  CHECK(table.runs.as_array()[1].at("failure").as_string() ==
        "metrics unreadable: " + one.path("a,seed=2") + ": cannot be read: No such file or directory");
}

TEST_CASE("values that a name only numbers are spelled out below the table, and each run lists what was set") {
  const Planned planned(R"({"base": "base.json", "set": {"train.epochs": 1}, "seeds": [1, 2], "grid": {
    "optimizer.groups": [[], [{"kind": "norm", "weight_decay": 0}]], "optimizer.lr": [0.1], "description": ["a <b>"]}})");
  const SweepTable& table = planned.table;
  CHECK(table.text().ends_with(
      "\ngroups=#1: []\ngroups=#2: [{\"kind\": \"norm\", \"weight_decay\": 0}]\ndescription=#1: \"a <b>\"\n"));
  CHECK(has(table.html(), "<li>groups=#2: [{&quot;kind&quot;: &quot;norm&quot;, &quot;weight_decay&quot;: 0}]</li>\n"));
  CHECK(has(table.html(), "<li>description=#1: &quot;a &lt;b&gt;&quot;</li>\n"));
  std::vector<std::string> overrides;
  const Value json = table.json();
  for (const Value& one : json.at("runs").as_array()[3].at("overrides").as_array()) overrides.push_back(one.as_string());
  CHECK(overrides == planned.sweep.runs[3].overrides);
  CHECK(overrides.at(1) == "optimizer.groups=[{\"kind\": \"norm\", \"weight_decay\": 0}]");

  const Planned plain(R"({"base": "base.json", "grid": {"optimizer.lr": [0.1]}})");
  CHECK_FALSE(has(plain.table.text(), "#"));
  CHECK_FALSE(has(plain.table.html(), "<li>"));
}

TEST_CASE("a numbered value of a variant's own grid is under the variant's name") {
  const Planned planned(R"({"base": "base.json", "grid": {"optimizer.groups": [[]]}, "variants": [{"name": "a"},
    {"name": "b", "set": {"optimizer.lr": 0.2}}, {"name": "c", "grid": {"optimizer.groups": [[{"kind": "norm", "weight_decay": 0}]]}}]})");
  CHECK(planned.table.text().ends_with("\ngroups=#1: []\nc,groups=#1: [{\"kind\": \"norm\", \"weight_decay\": 0}]\n"));
}
