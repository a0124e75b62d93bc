#include <doctest/doctest.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <sstream>

#include "core/base/error.h"
#include "core/base/files.h"
#include "experiments/lessons/builtin.h"
#include "experiments/report/run_data.h"
#include "experiments/report/run_names.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"

using namespace az;
using namespace az::experiments;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// A lesson that compares what it is told to, and what `check` says of it: "" when all holds.
std::string said_of(const Comparison& comparison) {
  static Comparison given;
  given = comparison;
  const Lesson lesson = {
      .name = "one", .title = "T", .question = "Q", .formula = "F", .teach = [](LessonRun& run) { run.compare(given); }};
  TemporaryFolder folder;
  const LessonRun run = teach(lesson, folder.path.string());
  CHECK(json::parse(read_file((folder.path / "lesson.json").string()))["rows"][0]["holds"] == comparison.holds());
  try {
    run.check();
    return "";
  } catch (const Error& error) {
    CHECK(error.code() == Exit::failure);
    return error.what();
  }
}

void check_lesson(const std::string& name, const fs::path& run) {
  const CommandResult result = run_azimuth({"lesson", name, "--run", run.string()});
  INFO(result.out << result.err);
  REQUIRE(result.exit == 0);
  const json lesson = json::parse(read_file((run / "lesson.json").string()));
  CHECK(lesson["name"] == name);
  CHECK(lesson["rows"].size() >= 9);
  CHECK(test::has(read_file((run / "report.html").string()), lesson["title"].get<std::string>()));
  // What a training does is in its config: no two are repetitions of one another.
  std::vector<RunData> runs;
  for (const auto& entry : fs::directory_iterator(run)) {
    if (entry.is_directory()) runs.push_back(read_run(entry.path().string()));
  }
  const std::vector<size_t> experiments = experiments_of(runs);
  CHECK(std::set(experiments.begin(), experiments.end()).size() == runs.size());
}

}  // namespace

TEST_CASE("A lesson outside its tolerance fails and names the line; its table stays") {
  CHECK(said_of({.what = "x", .predicted = 2, .measured = 2.09, .tolerance = 0.05}) == "");
  CHECK(said_of({.what = "x", .predicted = 2, .measured = 2.11, .tolerance = 0.05}) ==
        "lesson one: outside the tolerance: \"x\": predicted 2, measured 2.11");
  CHECK(said_of({.what = "x", .predicted = -2, .measured = 2, .tolerance = 0.05}) != "");
  CHECK(said_of({.what = "x", .predicted = 0, .measured = 4e-5, .absolute_tolerance = 5e-5}) == "");
  CHECK(said_of({.what = "x", .predicted = 0, .measured = 6e-5, .absolute_tolerance = 5e-5}) != "");
  CHECK(said_of({.what = "x", .predicted = 2, .measured = 1.9, .is = Measured::below}) == "");
  CHECK(said_of({.what = "x", .predicted = 2, .measured = 2, .is = Measured::below}).find("predicted < 2") !=
        std::string::npos);
  CHECK(said_of({.what = "x", .predicted = 2, .measured = 2.1, .is = Measured::above}) == "");
  for (Measured is : {Measured::near, Measured::below, Measured::above})
    CHECK(said_of({.what = "x", .predicted = 2, .measured = NAN, .tolerance = 1, .is = is}) != "");
}

TEST_CASE("Both numbers of a comparison are shown with the digits that tell whether it holds") {
  const auto shown = [](const Comparison& comparison) {
    const ComparisonText text = text_of(comparison);
    return text.predicted + "|" + text.measured + "|" + text.error + "|" + text.allowed;
  };
  CHECK(shown({.predicted = 2.9975, .measured = 2.99747, .absolute_tolerance = 1e-4}) == "2.9975|2.99747|0.001 %|± 0.0001");
  CHECK(shown({.predicted = 19, .measured = 18.8234, .tolerance = 0.05}) == "19|18.82|0.93 %|5 %");
  CHECK(shown({.predicted = 2, .measured = 2.1000001, .tolerance = 0.05}) == "2|2.1000001|5.000005 %|5 %");
  CHECK(shown({.predicted = 0, .measured = 3.14159e-12, .absolute_tolerance = 1e-9}) == "0|3.142e-12||± 1e-09");
  CHECK(shown({.predicted = 0, .measured = -0.0, .absolute_tolerance = 1e-9}) == "0|0||± 1e-09");
  CHECK(shown({.predicted = 1.5e20, .measured = 1.25e20, .tolerance = 0.5}) == "1.5e+20|1.25e+20|17 %|50 %");
  CHECK(shown({.predicted = 442123.4, .measured = 442145.9, .tolerance = 0.002}) == "442123|442146|0.0051 %|0.2 %");
  CHECK(shown({.predicted = 3, .measured = 3}) == "3|3|0 %|");
  CHECK(shown({.predicted = 3, .measured = 2.9999999999999996}) == "3|2.9999999999999996|1.5e-14 %|");
  CHECK(shown({.predicted = 0.8, .measured = 0.72345678, .is = Measured::below}) == "< 0.8|0.7235||");
  CHECK(shown({.predicted = 0.8, .measured = 0.79999996, .is = Measured::below}) == "< 0.8|0.79999996||");
  CHECK(shown({.predicted = 2, .measured = 2, .is = Measured::above}) == "> 2|2||");
  CHECK(shown({.predicted = 2, .measured = NAN, .tolerance = 0.1}) == "2|not a number||10 %");
  CHECK(shown({.predicted = 2, .measured = INFINITY, .is = Measured::above}) == "> 2|inf||");
}

// What is shown decides as the numbers do, however close they are.
TEST_CASE("A table's numbers, read back, hold where the comparison does") {
  std::mt19937_64 engine(1);
  const auto uniform = [&] { return double(engine() >> 11) / double(1ull << 53); };
  for (int i = 0; i < 20000; ++i) {
    Comparison it{.predicted = (uniform() < 0.5 ? -1 : 1) * std::pow(10, 40 * uniform() - 20)};
    it.is = std::array{Measured::near, Measured::below, Measured::above}[engine() % 3];
    const double allowed = std::pow(10, -14 * uniform()) * std::abs(it.predicted);
    if (it.is == Measured::near) (engine() % 2 ? it.absolute_tolerance : it.tolerance) = allowed;
    if (it.tolerance > 0) it.tolerance /= std::abs(it.predicted);
    // At a distance of that, nearer, farther, and just beside it.
    const double distance = allowed * std::array{uniform(), 1 + uniform(), 1 + 1e-6, 1 - 1e-6}[engine() % 4];
    it.measured = it.predicted + (engine() % 2 ? distance : -distance);
    const ComparisonText text = text_of(it);
    Comparison read = it;
    read.predicted = std::stod(text.predicted.substr(it.is == Measured::near ? 0 : 2));
    read.measured = std::stod(text.measured);
    INFO(text.predicted, " | ", text.measured, " | ", text.allowed);
    REQUIRE(read.holds() == it.holds());
  }
}

TEST_CASE("A lesson that compares nothing fails") {
  const Lesson empty = {.name = "empty", .title = "", .question = "", .formula = "", .teach = [](LessonRun&) {}};
  TemporaryFolder folder;
  CHECK_THROWS_WITH_AS(teach(empty, folder.path.string()).check(), "lesson empty: it compared nothing", Error);
}

TEST_CASE("A lesson can train whole experiments, each in a run folder below its own") {
  const Lesson lesson = {.name = "two", .title = "T", .question = "Q", .formula = "F", .teach = [](LessonRun& run) {
                           for (const char* name : {"SGD, lr 0.1", "SGD, lr 0.2"})
                             train(run, name, tiny_config(), {"train.epochs=1", std::string("optimizer.lr=") + (name + 8)});
                         }};
  TemporaryFolder folder;
  const LessonRun run = teach(lesson, folder.path.string());
  REQUIRE(run.runs() == std::vector{(folder.path / "sgd-lr-0.1").string(), (folder.path / "sgd-lr-0.2").string()});
  for (const auto& [name, path] : {std::pair{"SGD, lr 0.1", run.runs()[0]}, {"SGD, lr 0.2", run.runs()[1]}}) {
    const json config = json::parse(read_file(path + "/config.json"));
    CHECK(config["name"] == name);
    CHECK(fmt::format("SGD, lr {}", config["optimizer"]["lr"].get<double>()) == name);
    CHECK(test::has(read_file(path + "/metrics.jsonl"), "\"kind\":\"epoch\",\"epoch\":1,\"step\":4"));
    CHECK(run_azimuth({"eval", path}).exit == 0);
  }
  CHECK(test::has(read_file((folder.path / "report.html").string()), "sgd-lr-0.2"));
}

TEST_CASE("lesson lists them, and knows the nearest name") {
  const CommandResult list = run_azimuth({"lesson"});
  CHECK(list.exit == 0);
  const json all = json::parse(run_azimuth({"lesson", "--json"}).out);
  REQUIRE(all.size() == lessons().size());
  for (const json& lesson : all) CHECK(test::has(list.out, lesson["name"].get<std::string>() + " "));
  const CommandResult unknown = run_azimuth({"lesson", "momentun"});
  CHECK(unknown.exit == 2);
  CHECK(unknown.err == "azimuth: there is no lesson \"momentun\"; did you mean \"momentum\"?; `azimuth lesson` lists them\n");
}

TEST_CASE("Each lesson has a page, with its question and its formula") {
  for (const Lesson& lesson : lessons()) {
    CAPTURE(lesson.name);
    const std::string page = read_file("experiments/lessons/" + lesson.name + "/README.md");
    CHECK(test::has(page, "# " + lesson.title + "\n"));
    CHECK(test::has(page, lesson.question));
    CHECK(test::has(page, lesson.formula));
    CHECK(test::has(page, "azimuth lesson " + lesson.name));
    CHECK(test::has(read_file("experiments/lessons/README.md"), "(" + lesson.name + "/README.md)"));
  }
}

TEST_CASE("The lessons on toys hold, and leave run folders") {
  for (const char* name : {"momentum", "rosenbrock", "equilibrium", "learning_rate"}) {
    CAPTURE(name);
    TemporaryFolder folder;
    const fs::path run = folder.path / "run";
    check_lesson(name, run);
    size_t runs = 0;
    for (const auto& entry : fs::directory_iterator(run)) {
      if (!entry.is_directory()) continue;
      ++runs;
      const json config = json::parse(read_file((entry.path() / "config.json").string()));
      CHECK(config["optimizer"]["type"].is_string());
      std::istringstream lines(read_file((entry.path() / "metrics.jsonl").string()));
      std::map<std::string, json> last;
      for (std::string line; std::getline(lines, line);) {
        const json object = json::parse(line);
        last[object["kind"]] = object;
      }
      CHECK(last["step"]["loss"].is_number());
      CHECK(last["scale_invariance"]["norm"].is_number());
      if (last.count("path")) CHECK(last["path"]["series"] == config["name"]);
    }
    CHECK(runs > 2);
  }
}

TEST_CASE("The lessons on networks hold, and leave their trainings" * doctest::skip()) {  // a test of its own
  for (const char* name : {"invariance", "renormalization"}) {
    CAPTURE(name);
    TemporaryFolder folder;
    const fs::path run = folder.path / "run";
    check_lesson(name, run);
    CHECK(fs::exists(run / "network" / "invariance.json") == (std::string(name) == "invariance"));
  }
}
