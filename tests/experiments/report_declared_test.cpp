// What a report makes of what a run's folder declares.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/report_page.h"

using namespace az;
using namespace az::experiments;
using test::has;
using Json = nlohmann::json;

TEST_CASE("a stranger's probe is drawn by what it declared, and what nobody declared is listed") {
  TemporaryFolder temporary;
  const auto line = [](int64_t step, const std::string& parameter, double size, const char* view) {
    return metrics_line(
        "mine", {{"step", step}, {"epoch", int64_t(1)}, {"parameter", parameter}, {"size", size}, {"view", std::string(view)}});
  };
  const std::string folder =
      write_run(temporary.path / "run",
                line(1, "a", -4, "all") + line(1, "b", 9, "none") + line(2, "a", 16, "odd") +
                    metrics_line("mine", {{"step", int64_t(2)}, {"epoch", int64_t(1)}, {"\"<x>", 0.5}}) +
                    metrics_line("mystery", {{"step", int64_t(1)}, {"x", 1.0}}) + metrics_line("mine", {{"size", 1.0}}));
  write_file(folder + "/measurements.json", R"({"kinds": [{"kind": "mine", "quantities": [
    {"key": "size", "title": "Size <b>", "unit": "m", "scale": "log", "per": "parameter", "caption": "C.", "beside": "view",
     "magnitude": true, "geometric_mean": true},
    {"key": "view", "per": "parameter", "drawn": false, "words": ["none", "all"]}, {"key": "\"<x>", "share": true},
    {"key": "kept", "per": "parameter", "drawn": false}]}], "norm_rule": {"beta": null, "words": "a rule of its own"}})");
  const std::string page = report_html({folder});
  CHECK_FALSE(has(page, "Size <b>"));
  const Json data = data_in<Json>(page), run = data["runs"][0];
  CHECK(run["notes"] == Json({"metrics.jsonl: 1 line cannot be read and is left out; the first is line 6.",
                              "metrics.jsonl holds lines of kind \"mystery\", which no probe declared; they are not drawn."}));
  REQUIRE(run["others"].size() == 1);
  const Json mine = run["others"][0];
  CHECK(mine["kind"] == "mine");
  CHECK(mine["table"]["step"] == Json({2}));
  CHECK(mine["table"]["\"<x>"] == Json({0.5}));
  CHECK(mine["layers"]["parameter"]["names"] == Json({"mean over layers", "a", "b"}));
  CHECK(mine["layers"]["parameter"]["step"] == Json({1, 2}));
  CHECK(mine["layers"]["parameter"]["columns"]["size"] == Json::parse("[[6,16],[4,16],[9,null]]"));
  CHECK(mine["layers"]["parameter"]["columns"]["view"] == Json::parse("[[0.5,null],[1,null],[0,null]]"));
  CHECK_FALSE(mine["layers"]["parameter"]["columns"].contains("kept"));
  const auto kind = [&](const char* name) {
    for (const Json& one : data["kinds"]) {
      if (one["kind"] == name) return one["quantities"];
    }
    return Json();
  };
  CHECK(kind("mine")[0]["title"] == "Size <b>");
  CHECK(kind("mine")[0]["unit"] == "m");
  CHECK(kind("mine")[0]["scale"] == "log");
  CHECK(kind("scale_invariance")[0]["title"] == "Norm of the weights");
  CHECK(kind("step")[0]["key"] == "loss");
}

TEST_CASE("what is declared per module is drawn of modules, beside what is of parameters, which may be called alike") {
  TemporaryFolder temporary;
  const std::string folder = write_run(temporary.path / "run",
                                       R"({"kind":"mine","step":1,"epoch":1,"module":"0","zeros":0.5}
{"kind":"mine","step":1,"epoch":1,"module":"1","zeros":0.25}
{"kind":"mine","step":1,"epoch":1,"parameter":"0","size":2}
{"kind":"mine","step":3,"epoch":1,"module":"0","zeros":1}
)");
  write_file(folder + "/measurements.json", R"({"kinds": [{"kind": "mine", "quantities": [
    {"key": "zeros", "per": "module"}, {"key": "size", "per": "parameter"}]}]})");
  const Json run = only_run<Json>(folder), layers = run["others"][0]["layers"];
  CHECK(run["notes"].empty());
  CHECK(layers["module"]["names"] == Json({"mean over layers", "0", "1"}));
  CHECK(layers["module"]["step"] == Json({1, 3}));
  CHECK(layers["module"]["columns"] == Json::parse(R"({"zeros": [[0.375, 1], [0.5, 1], [0.25, null]]})"));
  CHECK(layers["parameter"]["names"] == Json({"mean over layers", "0"}));
  CHECK(layers["parameter"]["columns"] == Json::parse(R"({"size": [[2], [2]]})"));
}

TEST_CASE("what a folder says of built-in quantities counts, but for what the page's own code needs") {
  TemporaryFolder temporary;
  const std::string folder = write_run(temporary.path / "run", probe_line(1, "a", 2, 0.5));
  write_file(folder + "/measurements.json", R"({"kinds": [{"kind": "scale_invariance", "quantities": [
    {"key": "norm", "title": "Length", "per": "step"}, {"key": "projected"}]}], "norm_rule": {"words": "a rule of its own"}})");
  const Json data = data_in<Json>(report_html({folder}));
  CHECK(data["runs"][0]["probe"]["norm"][1] == Json({2}));
  CHECK(data["runs"][0]["probe"]["fired_channel"][1] == Json({0.75}));
  CHECK(data["runs"][0]["probe"]["rule"] == "a rule of its own");
  write_file(folder + "/measurements.json", R"({"kinds": [{"kind": "scale_invariance", "quantities": [
    {"key": "norm", "title": "Length", "per": "parameter"}]}]})");
  const std::string text = data_in<Json>(report_html({folder}))["kinds"].dump();
  CHECK(has(text, "\"Length\""));
  CHECK_FALSE(has(text, "Norm of the weights"));
}

TEST_CASE("a line that holds nothing declared of such lines is none that cannot be read") {
  TemporaryFolder temporary;
  const std::string folder = write_run(temporary.path / "run",
                                       R"({"kind":"empty","step":1,"epoch":1}
{"kind":"empty","step":2,"epoch":1,"parameter":"w"}
{"kind":"of_step","step":1,"epoch":1,"x":2}
{"kind":"of_step","step":1,"epoch":1,"parameter":"w","y":2}
{"kind":"of_parameter","step":1,"epoch":1,"x":3}
{"kind":"of_parameter","step":1,"epoch":1,"parameter":"w","x":4}
{"kind":"empty","epoch":1}
{"kind":"of_step","step":null,"x":1}
)");
  write_file(folder + "/measurements.json", R"({"kinds": [{"kind": "empty", "quantities": []},
    {"kind": "of_step", "quantities": [{"key": "x"}]},
    {"kind": "of_parameter", "quantities": [{"key": "x", "per": "parameter"}]}]})");
  const Json run = only_run<Json>(folder);
  CHECK(run["notes"] == Json({"metrics.jsonl: 2 lines cannot be read and are left out; the first is line 7."}));
  REQUIRE(run["others"].size() == 2);
  CHECK(run["others"][0]["table"]["x"] == Json({2}));
  CHECK(run["others"][0]["layers"].empty());
  CHECK(run["others"][1]["table"]["step"].empty());
  CHECK(run["others"][1]["layers"]["parameter"]["columns"]["x"][1] == Json({4}));
}
