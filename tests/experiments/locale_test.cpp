// What a program reads and writes is the same whatever locale it set: numbers, dates and letters go by the C locale's rules.
#include <filesystem>
#include <sstream>

#include "core/base/ascii.h"
#include "core/base/control_groups.h"
#include "core/base/files.h"
#include "core/config/json_document.h"
#include "core/config/nearest.h"
#include "core/ops.h"
#include "experiments/checkpoint.h"
#include "experiments/flame.h"
#include "experiments/log/mirror.h"
#include "experiments/report/report.h"
#include "experiments/run_folder.h"
#include "experiments/sweep/table.h"
#include "tests/experiments/foreign_locale.h"
#include "tests/experiments/sweep_place.h"

using namespace az;
using namespace az::experiments;
namespace fs = std::filesystem;

namespace {

// Some of everything that is written, and what comes of reading it again.
std::string all_that_is_written() {
  register_builtin();
  std::string all;
  const auto add = [&](const std::string& text) { all += text + "\n"; };
  const SweepPlace place(R"({"base": "base.json", "set": {"data.validation": 2.5e-1}, "seeds": [1234567],
    "grid": {"optimizer.lr": [0.125, 1.5e-3], "optimizer.momentum": [0.5]}})");
  TemporaryFolder folder;
  const std::string run = (folder.path / "run").string();
  fs::create_directories(run);

  add(to_json(load_config(place.base, {"optimizer.lr=0.0625", "train.label_smoothing=1e-1"})));
  try {
    load_config(place.base, {"optimizer.momentum=1.5"});
  } catch (const ConfigError& error) {
    add(error.what());
  }
  add(config::dump(config::schema<ExperimentConfig>(), 2) + config::describe<ExperimentConfig>());
  add(config::did_you_mean("FLIP", {"none", "flip"}));

  const Tensor weight = Tensor::of<float>({2, 2}, {0.5f, -1.25f, 1234567.0f, 1e-7f});
  const SafeTensors tensors{.tensors = {{"w", weight}}, .metadata = {{"step", "1234567"}}};
  TrainingState state;
  state.step = 1234567;
  state.lr = 0.0123;
  state.seconds = 12345.678;
  state.train.loss_sum = 1e-5;
  const Algorithms algorithms = {{"forward f32 [128,64,32,32], 2 threads", "jit:avx2"}};
  save_checkpoint(run + "/checkpoints/last",
                  {.model = tensors, .optimizer = tensors, .state = state, .average = {}, .algorithms = algorithms});
  for (const char* file : {"state.json", "model.safetensors", "algorithms.json"})
    add(read_file(run + "/checkpoints/last/" + file));
  const Checkpoint read = load_checkpoint(run + "/checkpoints/last");
  add(fmt::format("{} {} {} {} {}", read.state.lr, read.state.seconds, read.state.train.loss_sum, read.state.step,
                  read.algorithms.begin()->second));
  add(tuning_file());
  add(str(weight));

  const MetricFields fields = {{"epoch", int64_t(1)},  {"step", int64_t(1234567)}, {"lr", 0.0123},
                               {"train_loss", 1234.5}, {"test_accuracy", 0.4375},  {"seconds", 1e-7},
                               {"note", "a,\"b\""}};
  write_file(run + "/config.json", to_json(load_config(place.base)));
  MetricsLog log(run + "/metrics.jsonl", 0);
  log.mirror_to(make_mirror({"csv"}, run, [](const std::string& problem) { FAIL(problem); }));
  log.write("epoch", fields);
  log.write("epoch", fields);
  add(read_file(run + "/metrics.jsonl") + read_file(run + "/metrics.csv"));
  for (const MetricLine& line : read_metrics(run + "/metrics.jsonl").lines) add(metrics_line(line.kind, line.fields));

  Sweep sweep = load_sweep(place.sweep);
  for (const SweepRun& one : sweep.runs) {
    add(one.name);
    for (const std::string& text : one.overrides) add(text);
    fs::create_directories(place.runs + "/" + one.name);
    fs::copy(run + "/metrics.jsonl", place.runs + "/" + one.name);
  }
  const SweepResult done{.states = std::vector(sweep.runs.size(), RunState::done),
                         .failures = std::vector<std::string>(sweep.runs.size())};
  SweepTable table = sweep_table(sweep, done, place.runs);
  table.folder = "";
  add(table.text() + table.csv() + table.html());
  for (const GroupResult& group : table.groups) add(fmt::format("{} {}", group.group, group.measures.at(0).mean));

  std::string environment = environment_json({.command = "azimuth", .commit = "", .precision = DType::f32});
  const size_t date = environment.find("\"date\"");
  std::replace_if(environment.begin() + date, environment.begin() + environment.find('\n', date), is_digit, '0');
  add(environment);

  fs::current_path(folder.path);
  add(report_html({"run"}));
  BenchReport report;
  report.name = "a";
  report.step_ms_mean = 1234.5;
  report.parts = {{Phase::forward, "conv2d", "layer1", "", 1234.5, 1}};
  add(flame_svg(report));
  add(nn::summarize(*build_model(load_config(place.base)), {1, 3, 32, 32}).table());

  const std::string group = (folder.path / "machine").string();
  fs::create_directories(group + "/proc/self");
  fs::create_directories(group + "/sys/fs/cgroup");
  write_file(group + "/proc/self/cgroup", "0::/\n");
  write_file(group + "/proc/self/mountinfo", "29 22 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n");
  write_file(group + "/sys/fs/cgroup/cpu.max", "150000 100000\n");
  write_file(group + "/sys/fs/cgroup/memory.max", "1234567890\n");
  add(fmt::format("{} {}", granted_cores(group), granted_memory(group)));
  return all;
}

// That under a locale, without the temporary folders' names; or what it throws.
std::string written_under(const std::locale& locale) {
  const fs::path root = fs::current_path();
  std::string all;
  try {
    const ScopedLocale scope(locale);
    all = all_that_is_written();
  } catch (const std::exception& error) {
    all = std::string("it threw: ") + error.what();
  }
  fs::current_path(root);
  const std::string marked = (fs::temp_directory_path() / "azimuth_test_").string();
  for (size_t at; (at = all.find(marked)) != std::string::npos;) all.erase(at, marked.size() + 6);
  return all;
}

void check_same(const std::string& found, const std::string& expected) {
  std::istringstream a(found), b(expected);
  for (std::string line, right; std::getline(b, right);) {
    line = "(nothing)";
    std::getline(a, line);
    if (line != right) FAIL_CHECK("got      " << line.substr(0, 300) << "\nexpected " << right.substr(0, 300));
    if (line != right) return;
  }
  CHECK(found == expected);
}

// Digits in groups as in France: a blank would join two numbers of a file.
struct Blanks : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return ' '; }
  std::string do_grouping() const override { return "\3"; }
};

}  // namespace

TEST_CASE("a locale of C++ changes nothing that is read or written") {
  const std::string expected = written_under(std::locale::classic());
  CHECK(expected.find("\"lr\": 0.0625") != std::string::npos);
  CHECK(expected.find("1.5 1234567890") != std::string::npos);
  CHECK(expected.find("\"date\": \"0000-00-00T00:00:00Z\"") != std::string::npos);
  check_same(written_under(std::locale(std::locale::classic(), new Blanks)), expected);
}

TEST_CASE("a locale of C changes nothing that is read or written") {
  const ForeignLocales locales;
  const std::string expected = written_under(std::locale::classic());
  int tried = 0;
  for (const auto& [name, source, charset] :
       {std::array{"de_DE.UTF-8", "de_DE", "UTF-8"}, std::array{"de_DE.ISO-8859-1", "de_DE", "ISO-8859-1"},
        std::array{"fr_FR.UTF-8", "fr_FR", "UTF-8"}, std::array{"tr_TR.ISO-8859-9", "tr_TR", "ISO-8859-9"},
        std::array{"ps_AF.UTF-8", "ps_AF", "UTF-8"}}) {
    if (!locales.make(source, charset, name)) continue;
    CAPTURE(name);
    check_same(written_under(std::locale(name)), expected);
    ++tried;
  }
  if (tried == 0) MESSAGE("skipped: localedef makes no locale here; the package \"locales\" has their sources");
}
