#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/error.h"
#include "core/files.h"
#include "experiments/lessons/builtin.h"
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
  CHECK(said_of({.what = "x", .predicted = 2, .measured = 2, .is = Measured::below}).find("predicted < 2") != std::string::npos);
  CHECK(said_of({.what = "x", .predicted = 2, .measured = 2.1, .is = Measured::above}) == "");
  for (Measured is : {Measured::near, Measured::below, Measured::above})
    CHECK(said_of({.what = "x", .predicted = 2, .measured = NAN, .tolerance = 1, .is = is}) != "");
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

TEST_CASE("The lessons on networks hold, and leave their trainings") {
  for (const char* name : {"invariance", "renormalization"}) {
    CAPTURE(name);
    TemporaryFolder folder;
    const fs::path run = folder.path / "run";
    check_lesson(name, run);
    CHECK(fs::exists(run / "network" / "invariance.json") == (std::string(name) == "invariance"));
  }
}
