// How quantities are declared, kept in a run's folder, and held against what is reported.
#include "experiments/measurement.h"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/tensor/create.h"
#include "experiments/experiment.h"
#include "experiments/probes/scale_invariance.h"
#include "experiments/training_lines.h"
#include "optim/sgd.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"

using namespace az;
using namespace az::experiments;
using test::has;
using Json = nlohmann::json;

namespace {

// A probe that declares and reports what it is told to.
struct Told : Probe {
  Told(std::vector<Quantity> columns, MetricFields line) : Probe(1), columns_(std::move(columns)), line_(std::move(line)) {}
  std::vector<Quantity> columns() const override { return columns_; }
  void report(const Write& write) override { write(line_); }
  std::vector<Quantity> columns_;
  MetricFields line_;
};

template <class Action> std::string said(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::string said_of_line(const std::vector<Quantity>& columns, const MetricFields& line) {
  return said([&] { reported_by({"mine", std::make_unique<Told>(columns, line), columns}); });
}

std::vector<std::string> keys_of(const Json& file, const std::string& kind) {
  std::vector<std::string> keys;
  for (const Json& one : file["kinds"]) {
    if (one["kind"] != kind) continue;
    for (const Json& quantity : one["quantities"]) keys.push_back(quantity["key"]);
  }
  return keys;
}

// The names of a line's fields but those that every line has.
std::vector<std::string> keys_of(const MetricFields& fields) {
  std::vector<std::string> keys;
  for (const auto& [name, value] : fields) {
    if (name != "step" && name != "epoch" && name != "parameter") keys.push_back(name);
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}
std::vector<std::string> keys_of(const Measurement& measurement) {
  std::vector<std::string> keys;
  for (const Quantity& quantity : measurement.quantities) keys.push_back(quantity.key);
  std::sort(keys.begin(), keys.end());
  return keys;
}

}  // namespace

TEST_CASE("what a probe reports is what it declares, of a step and of a parameter, and nothing else") {
  const std::vector<Quantity> columns = {{.key = "share", .share = true},
                                         {.key = "size", .per = "parameter"},
                                         {.key = "view", .per = "parameter", .drawn = false, .words = {"none", "all"}},
                                         {.key = "note", .per = "parameter", .drawn = false},
                                         {.key = "zeros", .per = "module"}};
  const MetricFields of_step = {{"share", 0.5}};
  const MetricFields of_parameter = {
      {"parameter", std::string("w")}, {"size", NAN}, {"view", std::string("all")}, {"note", std::string("any")}};
  CHECK(said_of_line(columns, of_step) == "");
  CHECK(said_of_line(columns, of_parameter) == "");
  const MetricFields of_module = {{"module", std::string("0")}, {"zeros", 0.5}};
  CHECK(said_of_line(columns, of_module) == "");
  CHECK(has(said_of_line(columns, {{"module", std::string("0")}}), "a line with a field \"module\" lacks the field \"zeros\""));
  CHECK(has(said_of_line(columns, {{"module", std::string("0")}, {"zeros", 0.5}, {"size", 1.0}}),
            "a line with a field \"module\" has the field \"size\", which columns() does not declare for it"));
  CHECK(has(said_of_line(columns, {{"zeros", 0.5}}), "\"zeros\", which columns() does not declare for it"));
  CHECK(has(said_of_line(columns, {{"module", std::string()}, {"zeros", 0.5}}), "the field \"module\" is to be a name"));
  CHECK(has(said_of_line(columns, {{"module", std::string("0")}, {"parameter", std::string("w")}, {"zeros", 0.5}}),
            "a line is about a parameter or about a module; write two"));
  const auto changed = [](MetricFields fields, const std::string& name, const MetricValue& value) {
    const auto found = std::find_if(fields.begin(), fields.end(), [&](const auto& field) { return field.first == name; });
    if (found == fields.end())
      fields.emplace_back(name, value);
    else
      found->second = value;
    return fields;
  };
  CHECK(
      said_of_line(columns, changed(of_step, "shares", 1.0)) ==
      "probe \"mine\": a line about neither a parameter nor a module has the field \"shares\", which columns() does not declare for it; "
      "did you mean \"share\"?");
  CHECK(has(said_of_line(columns, changed(of_step, "size", 1.0)), "\"size\", which columns() does not declare for it"));
  CHECK(has(said_of_line(columns, changed(of_parameter, "share", 1.0)), "\"share\", which columns() does not declare for it"));
  CHECK(
      said_of_line(columns, {}) ==
      "probe \"mine\": a line about neither a parameter nor a module lacks the field \"share\", which columns() declares; report NaN "
      "where it is not known");
  for (size_t i = 1; i < of_parameter.size(); ++i) {
    MetricFields shorter = of_parameter;
    shorter.erase(shorter.begin() + long(i));
    CHECK(has(said_of_line(columns, shorter), "lacks the field \"" + of_parameter[i].first + "\""));
  }
  CHECK(has(said_of_line(columns, changed(of_parameter, "view", std::string("some"))),
            "the field \"view\" is \"some\", and declared as one of the words \"none\", \"all\""));
  for (const MetricValue& none : {MetricValue(NAN), MetricValue(INFINITY), MetricValue(std::optional<double>()),
                                  MetricValue(std::optional<double>(NAN)), MetricValue(std::optional<double>(-INFINITY))})
    CHECK(said_of_line(columns, changed(of_parameter, "view", none)) == "");
  CHECK(has(said_of_line(columns, changed(of_parameter, "view", 1.0)), "is declared as one of the words"));
  CHECK(has(said_of_line(columns, changed(of_parameter, "size", std::string("big"))), "is a text, which cannot be drawn"));
  CHECK(has(said_of_line(columns, changed(of_parameter, "parameter", 1.0)), "the field \"parameter\" is to be a name"));
  CHECK(has(said_of_line({}, of_step), "which columns() does not declare"));
  CHECK(said_of_line({}, {}) == "");
}

TEST_CASE("a declaration that no report can draw by is refused, as the probe is made") {
  CHECK(said([] { check_quantities({{.key = "a", .beside = "b"}, {.key = "b"}}); }) == "");
  for (const char* key : {"kind", "step", "epoch", "parameter", "module"})
    CHECK(said([&] { check_quantities({{.key = key}}); }) ==
          fmt::format("a quantity cannot be called \"{}\": a line has that already", key));
  CHECK(has(said([] { check_quantities({{.key = "a"}, {.key = "a"}}); }), "a line has that already"));
  CHECK(has(said([] { check_quantities({{.key = ""}}); }), "cannot be a name: it is empty"));
  CHECK(has(said([] { check_quantities({{.key = "a\n"}}); }), "cannot be a name"));
  CHECK(has(said([] { check_quantities({{.key = "a", .scale = "log10"}}); }), "a.scale: must be one of \"linear\", \"log\""));
  CHECK(has(said([] { check_quantities({{.key = "a", .per = "layer"}}); }), "a.per: must be one of"));
  CHECK(said([] {
          check_quantities({{.key = "angle", .beside = "theori"}, {.key = "theory"}});
        }) == "angle.beside: there is no quantity \"theori\"; did you mean \"theory\"?");
  CHECK(said([] {
          check_quantities({{.key = "a", .beside = "b"}, {.key = "b", .per = "parameter"}});
        }) == "a.beside: \"b\" is per parameter, and this per step");
  CHECK(said([] {
          check_quantities({{.key = "a", .per = "module", .beside = "b"}, {.key = "b", .per = "parameter"}});
        }) == "a.beside: \"b\" is per parameter, and this per module");
}

TEST_CASE("the lines of a training hold what is declared of them") {
  CHECK(keys_of(step_fields({.step = 1, .epoch = 1, .lr = 0.1, .loss = 2})) == keys_of(step_measurement()));
  const Score score{.images = 1};
  const EpochSummary summary{.train = score, .validation = score, .test = score};
  CHECK(keys_of(epoch_fields(summary)) == keys_of(epoch_measurement()));
  for (const Measurement& one : {step_measurement(), epoch_measurement()}) check_quantities(one.quantities);
  check_quantities(ScaleInvariance::quantities());
  const Tensor w = ones({2, 3}).set_requires_grad();
  optim::Sgd sgd({{"w", w}}, {.lr = 0.1});
  auto probe = std::make_unique<ScaleInvariance>(ScaleInvarianceOptions{.every = 1}, sgd.parameters());
  w.set_grad(ones({2, 3}));
  sgd.step(probe.get());
  const auto columns = probe->columns();
  CHECK(reported_by({"scale_invariance", std::move(probe), columns}).size() == 1);
}

TEST_CASE("a run's folder keeps what is declared, and more where it is resumed with more") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  const std::string file = run + "/measurements.json";
  write_file(config, tiny_config(R"({"epochs": 1})"));
  REQUIRE(run_azimuth({"train", config, "--run", run}).exit == 0);
  Json kept = Json::parse(read_file(file));
  CHECK(keys_of(kept, "step") == std::vector<std::string>{"loss", "lr"});
  CHECK(keys_of(kept, "scale_invariance").empty());
  CHECK(has(kept["norm_rule"]["words"].get<std::string>(), "weight decay"));
  const std::string probes = R"(probes=[{"type": "scale_invariance", "every": 1}])";
  REQUIRE(run_azimuth({"resume", run, "--set", "train.epochs=2", "--set", probes}).exit == 0);
  kept = Json::parse(read_file(file));
  CHECK(keys_of(kept, "step") == std::vector<std::string>{"loss", "lr"});
  CHECK(keys_of(kept, "scale_invariance").size() == 13);
  // It stays declared where nobody watches any longer, as do words that were changed of what is.
  Json edited = kept;
  edited["kinds"].push_back({{"kind", "gone"}, {"quantities", {{{"key", "x"}}}}});
  write_file(file, edited.dump());
  REQUIRE(run_azimuth({"resume", run, "--set", "train.epochs=3", "--set", "probes=[]"}).exit == 0);
  kept = Json::parse(read_file(file));
  CHECK(keys_of(kept, "gone") == std::vector<std::string>{"x"});
  CHECK(keys_of(kept, "scale_invariance").size() == 13);

  for (const std::string damaged : {"{", R"({"kinds": [{"kind": "x", "quantities": [{"key": "step"}]}]})", R"({"kind": []})"}) {
    write_file(file, damaged);
    const CommandResult result = run_azimuth({"resume", run, "--set", "train.epochs=4"});
    CHECK(result.exit == 3);
    CHECK(has(result.err, file));
    CHECK(has(result.err, "put back a copy, or remove it: resuming the run makes it anew"));
    CHECK(read_file(file) == damaged);
    CHECK(run_azimuth({"report", run}).exit == 0);
    CHECK(has(read_file(run + "/report.html"), "measurements.json cannot be read and is left out"));
  }
}

TEST_CASE("what a run's folder declares can be read again, whatever it is resumed with") {
  TemporaryFolder temporary;
  const std::string folder = temporary.path.string();
  const auto recorded = [&](const std::vector<Quantity>& first, const std::vector<Quantity>& second) {
    std::filesystem::remove(folder + "/measurements.json");
    record_measurements(folder, {{{"other", {{.key = "x"}}}, {"mine", first}}});
    record_measurements(folder, {{{"mine", second}}});
    const Json kept = Json::parse(read_file(folder + "/measurements.json"));
    CHECK(read_measurements(folder).kinds.size() == 2);
    CHECK(keys_of(kept, "other") == std::vector<std::string>{"x"});
    return keys_of(kept, "mine");
  };
  using Keys = std::vector<std::string>;
  const Quantity a = {.key = "a", .per = "parameter", .beside = "b"}, b = {.key = "b", .per = "parameter"};
  const Quantity b_of_step = {.key = "b"}, c = {.key = "c", .beside = "b"};
  CHECK(recorded({a, b}, {b_of_step}) == Keys{"b"});
  CHECK(recorded({a, b}, {b_of_step, c}) == Keys{"b", "c"});
  CHECK(recorded({b_of_step, c}, {a, b}) == Keys{"a", "b"});
  CHECK(recorded({a, b}, {c, b_of_step}) == Keys{"c", "b"});
  CHECK(recorded({a, b}, {{.key = "b", .per = "module"}}) == Keys{"b"});
  // What goes together stays together.
  CHECK(recorded({a, b}, {b}) == Keys{"a", "b"});
  CHECK(recorded({a, b}, {{.key = "d"}}) == Keys{"a", "b", "d"});
  CHECK(recorded({a, b}, {}) == Keys{"a", "b"});
}

TEST_CASE("a line of metrics is compact JSON, keys in order, in the shortest digits that read back") {
  const MetricFields fields = {{"a<b", std::string("\"<é>\xff\n")},
                               {"third", 1.0 / 3},
                               {"one", 1.0},
                               {"count", int64_t(-7)},
                               {"tiny", 1e-300},
                               {"nan", NAN},
                               {"inf", INFINITY},
                               {"none", std::optional<double>()},
                               {"no number", std::optional<double>(NAN)},
                               {"some", std::optional<double>(2.5)}};
  CHECK(metrics_line("k", fields) ==
        "{\"kind\":\"k\",\"a<b\":\"\\\"<é>\xEF\xBF\xBD\\n\",\"third\":0.3333333333333333,\"one\":1.0,\"count\":-7,"
        "\"tiny\":1e-300,"
        "\"nan\":null,\"inf\":null,\"none\":null,\"no number\":null,\"some\":2.5}\n");
  for (double x : {double(NAN), double(INFINITY), -double(INFINITY)}) {
    CHECK(to_value(x).is_null());
    CHECK(to_value(std::optional<double>(x)).is_null());
  }
}

TEST_CASE("one reader of metrics.jsonl tells what is no line of it, and where") {
  TemporaryFolder folder;
  const std::string file = (folder.path / "metrics.jsonl").string();
  write_file(
      file,
      "{\"kind\":\"step\",\"step\":1,\"loss\":0.5,\"view\":\"none\",\"gap\":null}\n\n#\n{\"kind\":\"\"}\n{\"step\":1}\n[1]\n"
      "{\"kind\":\"epoch\",\"large\":18446744073709551615,\"list\":[1]}\n{\"kind\":\"epoch\",\"st");
  std::vector<MetricLine> lines;
  const auto take = [&](const MetricLine& line) { return lines.push_back(line), true; };
  UnreadLines unread = read_metrics(file, take);
  CHECK(unread.places == std::vector<size_t>{3, 4, 5, 6, 8});
  CHECK(unread.cut);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].place == 1);
  CHECK(lines[0].number("loss") == 0.5);
  CHECK(lines[0].number("step") == 1);
  CHECK(lines[0].text("view") == "none");
  for (const char* key : {"view", "gap", "absent"}) CHECK(std::isnan(lines[0].number(key)));
  CHECK(lines[0].text("loss") == "");
  CHECK(lines[1].place == 7);
  CHECK(lines[1].number("large") == 18446744073709551615.0);
  CHECK(std::isnan(lines[1].number("list")));
  lines.clear();
  unread = read_metrics(file, take, "epoch");
  CHECK(unread.places == std::vector<size_t>{8});
  CHECK(lines.size() == 1);
  CHECK(read_metrics(file, [](const MetricLine& line) { return line.kind == "step"; }).places.size() == 6);
  CHECK(read_metrics(file).unread.size() == 5);
}
