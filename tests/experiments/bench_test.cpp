#include "experiments/bench.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "core/base/files.h"
#include "experiments/flame.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"

using namespace az;
using namespace az::experiments;
using nlohmann::json;

namespace {

class Tiny {
 public:
  Tiny() { write_file(path, tiny_config()); }
  json report(std::vector<std::string> more) const {
    more.insert(more.begin(), {"bench", path, "--steps", "7", "--warmup", "1", "--json"});
    const CommandResult result = run_azimuth(more);
    INFO(result.err);
    REQUIRE(result.exit == 0);
    return json::parse(result.out);
  }

  TemporaryFolder folder;
  const std::string path = (folder.path / "tiny.json").string();
};

double sum_of(const json& parts, const std::string& phase = "") {
  double ms = 0;
  for (const json& part : parts) ms += phase.empty() || part["phase"] == phase ? part["ms"].get<double>() : 0;
  return ms;
}

// "forward conv2d 0": phase, op and module of each part.
std::set<std::string> names(const json& parts) {
  std::set<std::string> all;
  for (const json& part : parts)
    all.insert(part["phase"].get<std::string>() + " " + part["op"].get<std::string>() + " " +
               part["module"].get<std::string>());
  return all;
}

// Throws where text is not well-formed XML of the kind that flame_svg writes; returns its text outside tags.
std::string text_of_xml(const std::string& xml) {
  std::vector<std::string> open;
  std::string text;
  const auto require = [&](bool holds, size_t at) {
    if (!holds) throw std::runtime_error("not well-formed at: " + xml.substr(at, 60));
  };
  for (size_t i = 0; i < xml.size(); ++i) {
    require(uint8_t(xml[i]) < 0x80 && (uint8_t(xml[i]) >= 0x20 || xml[i] == '\n'), i);
    if (xml[i] == '&') {
      size_t end = i + 2;
      while (end < xml.size() && std::isdigit(uint8_t(xml[end]))) ++end;
      require(xml.compare(i, 2, "&#") == 0 && end < xml.size() && xml[end] == ';', i);
    }
    if (xml[i] != '<') {
      text += xml[i];
      continue;
    }
    const size_t end = xml.find('>', i);
    require(end != std::string::npos, i);
    const std::string tag = xml.substr(i + 1, end - i - 1), name = tag.substr(0, tag.find_first_of(" /", 1));
    require(tag.find('<') == std::string::npos && std::count(tag.begin(), tag.end(), '"') % 2 == 0, i);
    if (tag[0] == '/') {
      require(!open.empty() && "/" + open.back() == tag, i);
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(name);
    }
    i = end;
  }
  require(open.empty(), xml.size());
  return text;
}

}  // namespace

TEST_CASE("bench accounts for all of a training step") {
  const Tiny tiny;
  const json r = tiny.report({});
  CHECK(r["mode"] == "training");
  CHECK(r["steps"] == 7);
  CHECK(r["images_per_step"] == 16);
  const double mean = r["step_ms_mean"], median = r["step_ms_median"];
  CHECK(sum_of(r["parts"]) == doctest::Approx(mean).epsilon(1e-9));
  CHECK(mean >= median / 2);  // half of the steps took at least the median
  CHECK(r["step_ms_p10"].get<double>() <= median);
  CHECK(median <= r["step_ms_p90"].get<double>());
  CHECK(r["images_per_second"].get<double>() == doctest::Approx(16e3 / median).epsilon(1e-9));
  for (const char* phase : {"data", "forward", "backward", "optimizer", "other"}) {
    CHECK(r["phases_ms"][phase].get<double>() > 0);
    CHECK(r["phases_ms"][phase].get<double>() == doctest::Approx(sum_of(r["parts"], phase)).epsilon(1e-9));
  }
  const std::set<std::string> parts = names(r["parts"]);
  for (const char* part :
       {"data load ", "forward conv2d 0", "forward batch_norm_relu 1", "forward linear 5", "backward conv2d_weights 0",
        "backward batch_norm_relu 1", "backward linear 5", "optimizer update "}) {
    CAPTURE(part);
    CHECK(parts.count(part) == 1);
  }
  for (const json& part : r["parts"]) CHECK(part["ms"].get<double>() >= 0);

  // Which kernels they are, depends on the machine; the first layer's input has no gradient.
  for (const json& part : r["parts"]) {
    const std::string op = part["op"];
    CHECK(part["kernel"].is_string() == (op == "conv2d_weights" || (op == "conv2d" && part["phase"] == "forward")));
  }

  // 3 -> 8 channels by 3x3 windows at 8x8 places, then 8 -> 10.
  const int64_t multiply_adds = 3 * 8 * 9 * 8 * 8 + 8 * 10;
  CHECK(r["multiply_adds"] == multiply_adds);
  CHECK(r["layers"].size() == 2);
  CHECK(r["gflops"].get<double>() ==
        doctest::Approx(6e-9 * double(multiply_adds) * r["images_per_second"].get<double>()).epsilon(1e-9));
  CHECK(r["data_mib"].get<double>() * (1 << 20) == doctest::Approx(90 * (3 * 32 * 32 + 8)));
  CHECK(r["peak_rss_mib"].get<double>() > r["data_mib"].get<double>());
  CHECK(r["data_cpu_ms"].get<double>() > 0);
  CHECK(r["reorders_per_step"].get<double>() >= 0);
  CHECK(r.contains("peak_gflops"));
  CHECK(!std::filesystem::exists("runs/tiny"));
}

TEST_CASE("bench times evaluation, batches that accumulate, and a set of less than a batch") {
  const Tiny tiny;
  const json evaluation = tiny.report({"--eval"});
  CHECK(evaluation["mode"] == "evaluation");
  CHECK(evaluation["images_per_step"] == 16);
  CHECK(evaluation["phases_ms"]["backward"] == 0);
  CHECK(evaluation["phases_ms"]["optimizer"] == 0);
  CHECK(names(evaluation["parts"]).count("forward conv2d 0") == 1);
  CHECK(evaluation["gflops"].get<double>() ==
        doctest::Approx(2e-9 * evaluation["multiply_adds"].get<double>() * evaluation["images_per_second"].get<double>()));

  const json two_views = tiny.report({"--eval", "--set", "train.evaluation.test_time_augmentation=flip"});
  CHECK(two_views["gflops"].get<double>() / two_views["images_per_second"].get<double>() ==
        doctest::Approx(2 * evaluation["gflops"].get<double>() / evaluation["images_per_second"].get<double>()));

  CHECK(tiny.report({"--set", "train.accumulate=2"})["images_per_step"] == 32);
  CHECK(tiny.report({"--set", "data.batch_size=64"})["images_per_step"] == 60);
}

TEST_CASE("bench refuses what it cannot time") {
  const Tiny tiny;
  const auto expect = [&](std::vector<std::string> arguments, Exit exit, const std::string& message) {
    arguments.insert(arguments.begin(), "bench");
    const CommandResult result = run_azimuth(arguments);
    CHECK(result.exit == int(exit));
    CHECK(result.out == "");
    CHECK_MESSAGE(result.err.find(message) != std::string::npos, result.err);
  };
  expect({tiny.path, "--steps", "0"}, Exit::config, "steps must be at least 1 (got 0)");
  expect({tiny.path, "--warmup", "-1"}, Exit::config, "warmup must be at least 0 (got -1)");
  expect({tiny.path, "--steps", "many"}, Exit::config, "--steps");
  const std::string absent = tiny.path + ".absent";
  expect({absent}, Exit::config, absent + ": cannot be read");
  expect({tiny.path, "--set", "model.layers=3"}, Exit::config, "model.layers");
  expect({tiny.path, "--set", "optimizer.lr=1e36"}, Exit::diverged, "is not finite");
  expect({tiny.path, "--flame", absent + "/flame.svg"}, Exit::failure, absent + "/flame.svg: cannot be written: ");
  expect({}, Exit::config, "config");
}

TEST_CASE("a flame picture is well-formed whatever the names are") {
  const std::string hostile = "</text><script>alert(\"1\")</script>&amp;'\x01\xff\xc3\xa9\xed\xa0\x80";
  BenchReport report{.name = hostile, .precision = "f32", .parts = {}, .layers = {}};
  report.parts = {{Phase::forward, "conv2d", hostile + "." + hostile, "", 3, 1}, {Phase::backward, hostile, "", "", 1, 1}};
  const std::string svg = flame_svg(report);
  const std::string text = text_of_xml(svg);
  CHECK(svg.find("<script") == std::string::npos);
  CHECK(text.find("&#60;/text&#62;&#60;script&#62;") != std::string::npos);
  CHECK(text.find("&#65533;&#65533;&#233;&#65533;") != std::string::npos);  // what XML cannot say, then e with an accent
  CHECK(text.find("step: 4.000 ms, 100.0 %") != std::string::npos);
  CHECK(text.find("forward: 3.000 ms, 75.0 %") != std::string::npos);
  CHECK(text.find("conv2d: 3.000 ms, 75.0 %") != std::string::npos);
}

TEST_CASE("bench draws the flame picture of its step") {
  const Tiny tiny;
  const std::string file = (tiny.folder.path / "flame.svg").string();
  const json r = tiny.report({"--flame", file, "--set", "name=<b>"});
  const std::string text = text_of_xml(read_file(file));
  CHECK(text.find("&#60;b&#62;: a training step of 16 images, f32") != std::string::npos);
  for (const json& part : r["parts"]) {
    const std::string phase = part["phase"], module = part["module"], op = part["op"];
    const std::string place = phase + ", " + (module.empty() ? "" : module + ": ") + op + ": ";
    if (part["ms"] > r["step_ms_mean"].get<double>() / 1000) CHECK_MESSAGE(text.find(place) != std::string::npos, place);
  }
}
