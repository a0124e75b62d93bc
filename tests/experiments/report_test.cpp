// What a report says of run folders, whole and damaged. tests/report looks at the page in a browser.
#include "experiments/report/report.h"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "experiments/metrics.h"
#include "experiments/report/run_data.h"
#include "experiments/report/run_names.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/report_page.h"
#include "tests/experiments/tiny.h"

using namespace az;
using namespace az::experiments;
using test::has;
using Json = nlohmann::json;
namespace fs = std::filesystem;

namespace {

std::string step_line(int64_t step, double loss) {
  return metrics_line("step", {{"step", step}, {"epoch", int64_t(1)}, {"lr", 0.1}, {"loss", loss}});
}

bool any_has(const Json& notes, const std::string& part) {
  for (const auto& note : notes) {
    if (has(note.get<std::string>(), part)) return true;
  }
  return false;
}

std::string error_of(const std::vector<std::string>& folders, Exit code) {
  try {
    report_html(folders);
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a report carries the lines of a run, its config and the command that made it") {
  TemporaryFolder temporary;
  const std::string folder = write_run(temporary.path / "first", step_line(1, 2.5) + step_line(2, 1.25));
  write_file(folder + "/environment.json", R"({"command": "azimuth train x.json --set seed=2"})");
  const Json run = only_run<Json>(folder);
  CHECK(run["label"] == "a");
  CHECK(run["steps"]["step"] == Json({1, 2}));
  CHECK(run["steps"]["loss"] == Json({2.5, 1.25}));
  CHECK(run["config"]["name"] == "a");
  CHECK(run["environment"]["command"] == "azimuth train x.json --set seed=2");
  CHECK(run["notes"].empty());
  CHECK(run["probe"].is_null());
}

TEST_CASE("a report asks nothing of a network, and carries dygraphs with its licence") {
  TemporaryFolder temporary;
  const std::string page = report_html({write_run(temporary.path / "run", step_line(1, 1))});
  CHECK_FALSE(has(page, "src=\"http"));
  CHECK_FALSE(has(page, "href=\"http"));
  CHECK_FALSE(has(page, "url(http"));
  CHECK(has(page, "default-src 'none'"));
  CHECK(has(page, "Dan Vanderkam"));
  CHECK(has(page, "MIT licence"));
}

TEST_CASE("each run is thinned by its own length, and a page holds a million numbers of layers at the most") {
  TemporaryFolder temporary;
  std::string many, few;
  for (int i = 1; i <= 3000; ++i) many += step_line(i, 1.0 / i);
  for (int i = 1; i <= 900; ++i) few += step_line(i, 1.0 / i);
  const Json runs =
      data_in<Json>(report_html({write_run(temporary.path / "many", many), write_run(temporary.path / "few", few)}))["runs"];
  CHECK(runs[0]["steps"]["loss"].size() <= 1000);
  CHECK(runs[1]["steps"]["loss"].size() == 900);
  std::string layers;
  for (int step = 1; step <= 40; ++step) {
    for (int layer = 0; layer < 2500; ++layer) layers += probe_line(step, fmt::format("layer{}.weight", layer), 1 + step, 0.1);
  }
  const Json probe = only_run<Json>(write_run(temporary.path / "deep", layers))["probe"];
  CHECK(probe["step"].size() <= 33);  // 2501 layers, 12 columns
  CHECK(probe["norm"][1].back() == 41);
}

TEST_CASE("layers: values, mean, share of projected steps, epochs and counts") {
  TemporaryFolder temporary;
  const std::string folder = write_run(temporary.path / "run",
                                       probe_line(1, "conv.weight", 2, 0.5) + probe_line(1, "fc.weight", 4, 0.25) +
                                           probe_line(2, "conv.weight", 3, 0.25, 2) + probe_line(3, "conv.weight", 3, 0.75, 2));
  const Json probe = only_run<Json>(folder)["probe"];
  CHECK(probe["layers"] == Json({"mean over layers", "conv.weight", "fc.weight"}));
  CHECK(probe["step"] == Json({1, 2, 3}));
  CHECK(probe["norm"] == Json::parse("[[3,3,3],[2,3,3],[4,null,null]]"));
  CHECK(probe["radial"][1] == Json({0.25, 0.25, 0.25}));
  CHECK(probe["fired"][1] == 1);
  CHECK(probe["fired_channel"][1] == Json({0.75, 0.75, 0.75}));
  CHECK(probe["fired_layer"][1].empty());
  CHECK(probe["fired_channel"][0].empty());  // a mean over layers is not projected
  CHECK(probe["heat"]["epochs"] == Json({1, 2}));
  CHECK(probe["heat"]["values"] == Json::parse("[[0.5,0.5],[0.25,null]]"));
  CHECK(probe["histogram"][0][34] == 3);  // 0.5 lies in [10^-0.5, 10^-0.25)
}

TEST_CASE("damaged and missing files: the page is made, and says what it lacks") {
  TemporaryFolder temporary;
  const std::string lines = step_line(1, 1) + "{\"kind\": \"st\n\x01\xff\n" + step_line(2, NAN) +
                            R"({"kind":"step","step":-3})"
                            "\n" +
                            step_line(3, 2);
  const Json cut = only_run<Json>(write_run(temporary.path / "cut", lines + R"({"kind":"step","st)"));
  CHECK(cut["steps"]["step"] == Json({1, 2, 3}));
  CHECK(cut["steps"]["loss"] == Json::parse("[1,null,2]"));
  CHECK(any_has(cut["notes"], "3 lines cannot be read and are left out; the first is line 2"));
  CHECK(any_has(cut["notes"], "the last line is cut off"));
  CHECK(any_has(cut["notes"], "The loss is not a finite number from step 2 on, at 1 of 3 steps"));

  const Json empty = only_run<Json>(write_run(temporary.path / "empty", ""));
  CHECK(empty["steps"]["step"].empty());
  fs::remove(temporary.path / "empty" / "metrics.jsonl");
  CHECK(any_has(only_run<Json>((temporary.path / "empty").string())["notes"], "nothing was trained here yet"));

  const Json broken = only_run<Json>(write_run(temporary.path / "broken", step_line(1, 1), R"({"name": )"));
  CHECK(broken["config"].is_null());
  CHECK(any_has(broken["notes"], "config.json cannot be read"));

  const Json zeros = only_run<Json>(write_run(temporary.path / "zeros", probe_line(1, "dead.weight", 0, NAN)));
  CHECK(any_has(zeros["notes"], "dead.weight is all zeros"));
  CHECK(zeros["probe"]["effective_step"][1].empty());

  const Json lost =
      only_run<Json>(write_run(temporary.path / "lost", probe_line(1, "a", 1, 1) + probe_line(2, "a", NAN, NAN) +
                                                            probe_line(2, "b", NAN, 1) + probe_line(3, "a", NAN, NAN)));
  CHECK(lost["notes"] ==
        Json({"The norm of a is not a finite number from step 2 on, at 2 of 3 steps noted. 1 more parameter has such gaps."}));

  // The same step twice, as after a kill: the later line counts.
  const Json twice = only_run<Json>(write_run(temporary.path / "twice", step_line(2, 5) + step_line(1, 7) + step_line(2, 6)));
  CHECK(twice["steps"]["loss"] == Json({7, 6}));
}

TEST_CASE("a drawing takes the place of another of its kind, and of no other file") {
  TemporaryFolder folder;
  const auto in_folder = [&](const char* name) { return (folder.path / name).string(); };
  const std::string config = in_folder("exp.json"), run = in_folder("run"), page = in_folder("page.html");
  write_file(config, tiny_config(R"({"epochs": 1})"));
  REQUIRE(run_azimuth({"train", config, "--run", run}).exit == 0);
  const auto report_to = [&](const std::string& file) { return run_azimuth({"report", run, "-o", file}); };
  const auto flame_to = [&](const std::string& file) {
    return run_azimuth({"bench", config, "--steps", "1", "--warmup", "0", "--flame", file});
  };
  REQUIRE(report_to(page).exit == 0);
  REQUIRE(flame_to(in_folder("step.svg")).exit == 0);
  write_file(in_folder("other.html"), "<!doctype html>\n<title>someone's</title>\n");
  write_file(in_folder("other.svg"), "<svg xmlns=\"http://www.w3.org/2000/svg\"/>\n");
  write_file(in_folder("empty"), "");
  fs::create_symlink(run + "/metrics.jsonl", in_folder("link"));
  fs::create_hard_link(run + "/checkpoints/last/model.safetensors", in_folder("hard_link"));
  fs::copy_file(config, in_folder("config.html"));
  for (const std::string& file : {run + "/metrics.jsonl", run + "/config.json", run + "/checkpoints/last/model.safetensors",
                                  config, page, in_folder("step.svg"), in_folder("other.html"), in_folder("other.svg"),
                                  in_folder("empty"), in_folder("link"), in_folder("hard_link"), in_folder("config.html")}) {
    CAPTURE(file);
    const std::string before = read_file(file), remedy = ": this file is there already and is no ";
    if (file != page) {
      const CommandResult result = report_to(file);
      CHECK(result.exit == 2);
      CHECK(result.err ==
            "azimuth: --output " + file + remedy + "report that azimuth drew; choose another name, or remove it\n");
    }
    if (file != in_folder("step.svg")) {
      const CommandResult result = flame_to(file);
      CHECK(result.exit == 2);
      CHECK(result.err ==
            "azimuth: --flame " + file + remedy + "picture of a step that azimuth drew; choose another name, or remove it\n");
    }
    CHECK(read_file(file) == before);
  }
  for (const std::string& file : {page, run + "/report.html", run + "/report.html"}) CHECK(report_to(file).exit == 0);
  CHECK(run_azimuth({"report", run}).exit == 0);  // over its own page
  CHECK(flame_to(in_folder("step.svg")).exit == 0);
  write_file(run + "/report.html", "notes on the run");
  CHECK(has(run_azimuth({"report", run}).err, "report.html: this file is there already and is no report"));
  CHECK(read_file(run + "/report.html") == "notes on the run");
  // A log that never ends is told, and not read.
  fs::remove(run + "/metrics.jsonl");
  fs::create_symlink("/dev/zero", run + "/metrics.jsonl");
  CHECK(has(run_azimuth({"resume", run, "--set", "train.epochs=2"}).err, "metrics.jsonl: cannot be read: it is a device"));
}

TEST_CASE("a folder that holds no run is refused in a sentence") {
  TemporaryFolder temporary;
  const std::string nothing = (temporary.path / "nothing").string();
  CHECK(error_of({nothing}, Exit::config) ==
        nothing + " is not there: a report is made of run folders, which `azimuth train` makes");
  CHECK(error_of({temporary.path.string()}, Exit::config) ==
        temporary.path.string() + " is not a run folder: it has neither config.json nor metrics.jsonl");
  CHECK(error_of({}, Exit::config) == "a report needs a run folder at least");
}

TEST_CASE("no text of a run gets out of the data or into the page's HTML") {
  TemporaryFolder temporary;
  const std::string hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)><!--";
  const std::string config = Json({{"name", hostile}, {"description", hostile}, {hostile, hostile}}).dump();
  const std::string folder = write_run(temporary.path / "<img onerror=1>", probe_line(1, hostile, 1, 1), config);
  write_file(folder + "/lesson.json", Json({{"title", hostile}, {"question", hostile}}).dump());
  const std::string page = report_html({folder});
  const Json data = data_in<Json>(page);
  CHECK(data["title"] == hostile);
  CHECK(data["runs"][0]["config"][hostile] == hostile);
  CHECK(data["runs"][0]["probe"]["layers"][1] == hostile);
  CHECK(data["runs"][0]["label"] == hostile);
  CHECK(data["runs"][0]["folder"] == folder);
  CHECK_FALSE(has(page, "<img"));
  CHECK_FALSE(has(page, "<script>alert"));
  CHECK(has(page, "<title>&lt;/script&gt;"));
}

TEST_CASE(
    "labels tell runs apart; repetitions are those that differ in the seed alone; a folder of runs stands for all of them") {
  TemporaryFolder temporary;
  const auto run = [&](const std::string& name, const std::string& config) {
    return write_run(temporary.path / name, step_line(1, 1), config);
  };
  run("a/seed1", R"({"name": "x", "seed": 1, "optimizer": {"lr": 0.1}})");
  run("b/seed1", R"({"name": "y", "seed": 2, "optimizer": {"lr": 0.1}})");
  run("b/seed2", R"({"name": "x", "seed": 1, "optimizer": {"lr": 0.2}})");
  const std::string first = (temporary.path / "a/seed1/").string(), second = (temporary.path / "b").string();
  const Json runs = data_in<Json>(report_html({first, second, second}))["runs"];
  REQUIRE(runs.size() == 3);
  CHECK(runs[0]["label"] == "a/seed1");
  CHECK(runs[1]["label"] == "b/seed1");
  CHECK(runs[2]["label"] == "seed2");
  CHECK(runs[0]["experiment"] == runs[1]["experiment"]);
  CHECK(runs[0]["experiment"] != runs[2]["experiment"]);
  CHECK(data_in<Json>(report_html({first, second + "/seed1"}))["runs"][1]["label"] == "y");  // names that differ are taken
}

TEST_CASE("a run that went on with another config is no repetition of one that was trained with that from the start") {
  TemporaryFolder temporary;
  const auto config = [](int seed, int epochs) {
    return Json({{"name", "x"}, {"seed", seed}, {"train", {{"epochs", epochs}}}}).dump();
  };
  const auto line = [&](int step, int seed, int epochs) {
    return fmt::format(R"({{"step":{},"config":{}}})", step, config(seed, epochs)) + "\n";
  };
  std::vector<std::string> folders;
  const auto run = [&](int seed, const std::string& history) {
    folders.push_back(write_run(temporary.path / std::to_string(seed), step_line(1, 1), config(seed, 8)));
    if (!history.empty()) write_file(folders.back() + "/configs.jsonl", history);
  };
  run(1, line(0, 1, 8));
  run(2, line(0, 2, 8));
  run(3, "");                              // of an older version
  run(4, line(0, 4, 6) + line(24, 4, 8));  // made longer at its end
  run(5, line(0, 5, 6) + line(24, 5, 8));
  run(6, line(0, 6, 6) + line(20, 6, 8));  // and before
  run(7, line(0, 7, 4) + line(16, 7, 6) + line(24, 7, 8));
  run(8, line(0, 4, 8) + line(24, 8, 8));  // called otherwise from then on
  run(9, "{\n");
  const Json runs = data_in<Json>(report_html(folders))["runs"];
  std::vector<size_t> experiments;
  for (const Json& one : runs) experiments.push_back(one["experiment"]);
  CHECK(experiments == std::vector<size_t>{0, 0, 0, 1, 1, 2, 3, 0, 0});
  REQUIRE(runs[8]["notes"].size() == 1);
  CHECK(has(runs[8]["notes"][0].get<std::string>(), folders[8] + "/configs.jsonl"));
}

TEST_CASE("runs of a folder come in the order of the numbers in their names") {
  std::vector<std::string> names = {"lr=10,seed=1", "lr=2,seed=10", "lr=2,seed=9", "lr=0.1", "lr=0.05", "lr=1e-05",
                                    "lr=0.0001",    "run",          "run-2",       "run-10", "run-02"};
  std::sort(names.begin(), names.end(), comes_before);
  CHECK(names == std::vector<std::string>{"lr=1e-05", "lr=0.0001", "lr=0.05", "lr=0.1", "lr=2,seed=9", "lr=2,seed=10",
                                          "lr=10,seed=1", "run", "run-02", "run-2", "run-10"});
}

TEST_CASE("a JSON file of another shape than the page can draw is cut to what fits, with a note") {
  TemporaryFolder temporary;
  const std::string folder = write_run(temporary.path / "run", step_line(1, 1));
  write_file(folder + "/lesson.json", R"({"rows": [null, {"what": "norm"}, 3]})");
  write_file(folder + "/invariance.json", R"({"parameters": [null, {"name": 4}, {"name": "w", "scaled": 7}, {"name": "v",
    "scaled": [1, {"a": 2, "loss": 3}]}]})");
  const Json data = data_in<Json>(report_html({folder})), run = data["runs"][0];
  CHECK(data["lessons"][0]["rows"] == Json::parse(R"([{"what": "norm"}])"));
  CHECK(run["invariance"]["parameters"] ==
        Json::parse(R"([{"name": "w", "scaled": []}, {"name": "v", "scaled": [{"a": 2, "loss": 3}]}])"));
  CHECK(any_has(run["notes"], "lesson.json: \"rows\""));
  CHECK(any_has(run["notes"], "invariance.json: \"parameters\""));
  CHECK(any_has(run["notes"], "invariance.json, w: \"scaled\""));
}

TEST_CASE("a lesson's folder without a training of its own gives its table and is no run") {
  TemporaryFolder temporary;
  const fs::path lesson = temporary.path / "lesson";
  fs::create_directories(lesson);
  write_file((lesson / "config.json").string(), R"({"name": "lesson-x"})");
  write_file((lesson / "lesson.json").string(), R"({"title": "Momentum", "rows": [{"what": "norm", "holds": true}]})");
  const std::string toy =
      write_run(lesson / "toy",
                R"({"kind":"path","series":"gd","beta":0.9,"target_x":0,"target_y":-1,"step":0,"x":1,"y":2,"loss":3,"norm":4})"
                "\n");
  const Json data = data_in<Json>(report_html({lesson.string(), toy}));
  CHECK(data["title"] == "Momentum");
  CHECK(data["lessons"][0]["rows"][0]["what"] == "norm");
  REQUIRE(data["runs"].size() == 1);
  CHECK(data["runs"][0]["paths"][0]["beta"] == 0.9);
  CHECK(data["runs"][0]["paths"][0]["target"] == Json({0, -1, nullptr}));
  CHECK(data["runs"][0]["paths"][0]["points"]["y"] == Json({2}));
  CHECK(data["runs"][0]["paths"][0]["points"]["z"].empty());
  CHECK(data_in<Json>(report_html({lesson.string()})) == data);  // the runs in it are taken in
  fs::remove_all(toy);
  CHECK(data_in<Json>(report_html({lesson.string()}))["runs"].empty());
}

TEST_CASE("a lesson's table shows as many digits as its outcome needs") {
  TemporaryFolder temporary;
  const std::string folder = write_run(temporary.path / "run", step_line(1, 1));
  write_file(folder + "/lesson.json", R"({"rows": [
    {"what": "a", "relation": "=", "predicted": 2.9975, "measured": 2.99744, "relative_error": 2e-5, "absolute_tolerance": 1e-4},
    {"what": "b", "relation": "<", "predicted": 2, "measured": 1.9999996},
    {"what": "c", "predicted": 1, "measured": null, "tolerance": 0.1}, {"what": "d", "predicted": "x", "measured": [1]}, {"what": "e"}]})");
  const Json rows = data_in<Json>(report_html({folder}))["lessons"][0]["rows"];
  CHECK(rows[0]["words"] ==
        Json({{"predicted", "2.9975"}, {"measured", "2.99744"}, {"error", "0.002 %"}, {"allowed", "± 0.0001"}}));
  CHECK(rows[0]["predicted"] == 2.9975);
  CHECK(rows[1]["words"]["predicted"] == "< 2");
  CHECK(rows[1]["words"]["measured"] == "1.9999996");
  CHECK(rows[2]["words"]["measured"] == "not a number");
  CHECK(rows[3]["words"]["measured"] == "not a number");
  CHECK_FALSE(rows[4].contains("words"));
}

TEST_CASE("azimuth report says where it wrote, and what is wrong with a run that is not there") {
  TemporaryFolder temporary;
  const std::string folder = write_run(temporary.path / "run", step_line(1, 1)), file = (temporary.path / "all.html").string();
  CommandResult result = run_azimuth({"report", folder});
  CHECK(result.exit == 0);
  CHECK(result.out == "The report lies in " + folder + "/report.html\n");
  CHECK(data_in<Json>(read_file(folder + "/report.html"))["title"] == "a");
  result = run_azimuth({"report", folder, folder, "-o", file, "--title", "Two"});
  CHECK(result.exit == 0);
  CHECK(result.out == "The report lies in " + file + "\n");
  CHECK(data_in<Json>(read_file(file))["title"] == "Two");
  result = run_azimuth({"report", file});
  CHECK(result.exit == 2);
  CHECK(result.err == "azimuth: " + file + " is a file: a report is made of run folders, which `azimuth train` makes\n");
  result = run_azimuth({"report", folder + "x"});
  CHECK(result.exit == 2);
  CHECK(result.err == "azimuth: " + folder + "x is not there: a report is made of run folders, which `azimuth train` makes\n");
}
