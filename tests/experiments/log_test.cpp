#include <doctest/doctest.h>
#include <sys/resource.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/files.h"
#include "experiments/log/mirror.h"
#include "experiments/log/tensorboard.h"
#include "experiments/probes/scale_invariance.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/tiny.h"

using namespace az;
using namespace az::experiments;
using test::has;
namespace fs = std::filesystem;

namespace {

// The events of a file, as protoc decodes them, each record checked by its two sums.
std::vector<std::string> events(const fs::path& file) {
  const std::string bytes = read_file(file.string());
  std::vector<std::string> texts;
  const auto sum_at = [&](size_t at) {
    uint32_t masked = 0;
    std::memcpy(&masked, bytes.data() + at, 4);
    return masked;
  };
  const auto masked = [](const std::string& part) {
    const uint32_t crc = crc32c(part);
    return uint32_t((crc >> 15 | crc << 17) + 0xa282ead8U);
  };
  TemporaryFolder folder;
  const std::string event = (folder.path / "event").string(), text = (folder.path / "text").string();
  for (size_t at = 0; at < bytes.size();) {
    uint64_t length = 0;
    std::memcpy(&length, bytes.data() + at, 8);
    REQUIRE(at + 16 + length <= bytes.size());
    CHECK(sum_at(at + 8) == masked(bytes.substr(at, 8)));
    CHECK(sum_at(at + 12 + length) == masked(bytes.substr(at + 12, length)));
    write_file(event, bytes.substr(at + 12, length));
    const std::string command =
        "protoc --proto_path=tests/experiments --decode=Event event.proto <'" + event + "' >'" + text + "'";
    REQUIRE(std::system(command.c_str()) == 0);
    texts.push_back(read_file(text));
    at += 16 + length;
  }
  return texts;
}

std::string value(const std::string& tag, const std::string& number) {
  return "  value {\n    tag: \"" + tag + "\"\n    simple_value: " + number + "\n  }\n";
}

// Of which nothing has to be told.
std::unique_ptr<Mirror> mirror_of(const std::string& form, const TemporaryFolder& folder) {
  return make_mirror({form}, folder.path.string(), [](const std::string& text) { FAIL_CHECK(text); });
}

}  // namespace

TEST_CASE("crc32c gives the published sum") {
  CHECK(crc32c("123456789") == 0xe3069283U);
  CHECK(crc32c("") == 0);
}

TEST_CASE("metrics.csv follows metrics.jsonl, quotes as RFC 4180 has it, and is made anew on resuming") {
  TemporaryFolder folder;
  const std::string csv = (folder.path / "metrics.csv").string();
  std::string expected = "kind,step,loss\r\nstep,1,0.5\r\nstep,2,\r\n";
  int64_t bytes = 0;
  {
    MetricsLog log((folder.path / "metrics.jsonl").string(), 0);
    log.mirror_to(mirror_of("csv", folder));
    log.write("step", {{"step", int64_t(1)}, {"loss", 0.5}});
    log.write("step", {{"step", int64_t(2)}, {"loss", NAN}});
    CHECK(read_file(csv) == expected);
    bytes = log.bytes();
    log.write("probe", {{"step", int64_t(3)}, {"a \"b\", c", std::string("x,\"y\"\n")}});
    CHECK(read_file(csv) == "kind,step,loss,\"a \"\"b\"\", c\"\r\nstep,1,0.5,\r\nstep,2,,\r\nprobe,3,,\"x,\"\"y\"\"\n\"\r\n");
  }
  MetricsLog log((folder.path / "metrics.jsonl").string(), bytes);
  log.mirror_to(mirror_of("csv", folder));
  CHECK(read_file(csv) == expected);
}

TEST_CASE("TensorBoard's event file, as protoc reads it") {
  TemporaryFolder folder;
  const fs::path file = folder.path / "tensorboard" / "events.out.tfevents.0.azimuth";
  record_measurements(folder.path.string(), {{{"scale_invariance", ScaleInvariance::quantities()}}});
  MetricsLog log((folder.path / "metrics.jsonl").string(), 0);
  log.write("step", {{"step", int64_t(300)}, {"loss", 0.5}});
  log.mirror_to(mirror_of("tensorboard", folder));
  log.write("scale_invariance", {{"step", int64_t(301)},
                                 {"parameter", std::string("conv1.weight")},
                                 {"norm", 2.5},
                                 {"angle", NAN},
                                 {"projected", std::string("layer")}});
  log.write("activations", {{"step", int64_t(301)}, {"module", std::string("layer1.0")}, {"rms", 0.5}});
  const auto texts = events(file);
  REQUIRE(texts.size() == 4);
  CHECK(has(texts[0], "file_version: \"brain.Event:2\""));
  CHECK(has(texts[0], "wall_time: "));
  CHECK(has(texts[1], "step: 300\nsummary {\n" + value("step/loss", "0.5") + "}\n"));
  CHECK(has(texts[2], "step: 301\nsummary {\n" + value("scale_invariance/norm/conv1.weight", "2.5") +
                          value("scale_invariance/projected/conv1.weight", "2") + "}\n"));
  CHECK(has(texts[3], "step: 301\nsummary {\n" + value("activations/rms/layer1.0", "0.5") + "}\n"));
}

TEST_CASE("TensorBoard's events keep their times when a run is resumed; what metrics.jsonl lost goes, what it gets follows") {
  TemporaryFolder folder;
  const std::string metrics = (folder.path / "metrics.jsonl").string();
  const fs::path file = folder.path / "tensorboard" / "events.out.tfevents.0.azimuth";
  int64_t bytes = 0;
  {
    MetricsLog log(metrics, 0);
    log.mirror_to(mirror_of("tensorboard", folder));
    for (int64_t step : {1, 2, 3}) {
      bytes = log.bytes();
      log.write("step", {{"step", step}, {"loss", 1.0 / 3 / double(step)}, {"none", NAN}});
    }
  }
  const std::vector<std::string> before = events(file);
  REQUIRE(before.size() == 4);
  MetricsLog log(metrics, bytes);
  log.mirror_to(mirror_of("tensorboard", folder));
  log.write("step", {{"step", int64_t(3)}, {"loss", 0.25}});
  const std::vector<std::string> after = events(file);
  REQUIRE(after.size() == 4);
  for (size_t i : {0, 1, 2}) CHECK(after[i] == before[i]);
  CHECK(has(after[3], "step: 3\nsummary {\n" + value("step/loss", "0.25") + "}\n"));
  CHECK(after[3] != before[3]);

  // A file that is damaged or cut short is whole again, with the records before.
  const std::string good = read_file(file.string());
  for (std::string damaged : {good.substr(0, good.size() - 5), good + "more", std::string("none")}) {
    write_file(file.string(), damaged);
    mirror_of("tensorboard", folder);
    const std::vector<std::string> mended = events(file);
    REQUIRE(mended.size() == 4);
    if (damaged != "none") CHECK(mended[2] == after[2]);
    CHECK(has(mended[3], "step: 3\nsummary {\n" + value("step/loss", "0.25") + "}\n"));
  }
}

TEST_CASE("a run keeps what \"log\" asks for, each line once, whether resumed or not") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  write_file(config, tiny_config(R"({"epochs": 1, "log_every": 1})", R"(, "log": ["csv", "tensorboard"])"));
  REQUIRE(run_azimuth({"train", config, "--run", run}).exit == 0);
  REQUIRE(run_azimuth({"resume", run}).exit == 0);
  const std::string csv = read_file(run + "/metrics.csv");
  CHECK(csv.find("kind,step,epoch,lr,loss,train_loss,") == 0);
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 1 + 4 + 1);
  CHECK(events(run + "/tensorboard/events.out.tfevents.0.azimuth").size() == 1 + 4 + 1);
  write_file(config, tiny_config(R"({"epochs": 1})", R"(, "log": ["xml"])"));
  CHECK(has(run_azimuth({"check", config}).err, "log.0"));
}

TEST_CASE("a damaged line of metrics.jsonl is left out of its other forms, which is said once, and the run resumes") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  write_file(config, tiny_config(R"({"epochs": 1, "log_every": 1})", R"(, "log": ["csv", "tensorboard"])"));
  REQUIRE(run_azimuth({"train", config, "--run", run}).exit == 0);
  std::string metrics = read_file(run + "/metrics.jsonl");
  metrics[metrics.find('\n') + 1] = '#';
  write_file(run + "/metrics.jsonl", metrics);
  std::string resolved = read_file(run + "/config.json");
  resolved.replace(resolved.find("\"epochs\": 1"), 11, "\"epochs\": 2");
  write_file(run + "/config.json", resolved);
  const CommandResult result = run_azimuth({"resume", run});
  CHECK(result.exit == 0);
  const std::string note = "metrics.jsonl: 1 line cannot be read and is left out of its other forms; the first is line 2\n";
  CHECK(has(result.err, "azimuth: note: " + run + "/" + note));
  CHECK(result.err.find(note) == result.err.rfind(note));
  CHECK(read_file(run + "/metrics.jsonl").find(metrics) == 0);
  const std::string csv = read_file(run + "/metrics.csv");
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 1 + 2 * (4 + 1) - 1);
  CHECK(events(run + "/tensorboard/events.out.tfevents.0.azimuth").size() == 1 + 2 * (4 + 1) - 1);
}

// The limit on the size of files stands for a disk that is full.
TEST_CASE("a form that cannot be written any longer is told of once, is not left looking whole, and is made again") {
  TemporaryFolder folder;
  MetricsLog log((folder.path / "metrics.jsonl").string(), 0);
  const auto line = [&] { log.write("step", {{"step", int64_t(1)}, {"loss", 1.0 / 3}}); };
  for (int i = 0; i < 3; ++i) line();
  const fs::path csv = folder.path / "metrics.csv", event_file = folder.path / "tensorboard" / "events.out.tfevents.0.azimuth";
  std::vector<std::string> notes;
  const auto mirror =
      make_mirror({"csv", "tensorboard"}, folder.path.string(), [&](const std::string& t) { notes.push_back(t); });
  const std::string rows = read_file(csv.string());
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const rlimit room{.rlim_cur = rows.size() + 10, .rlim_max = before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &room);
  for (int i = 0; i < 3; ++i) mirror->write("step", {{"step", int64_t(2)}, {"loss", 1.0 / 3}});
  mirror->sync();
  ::setrlimit(RLIMIT_FSIZE, &before);
  const std::string rest = "; the training goes on without this form of its metrics, and resuming the run makes it whole";
  CHECK(notes == std::vector<std::string>{csv.string() + ": cannot be written: File too large" + rest,
                                          event_file.string() + ": cannot be written: File too large" + rest});
  CHECK(!fs::exists(csv));
  CHECK(events(event_file).size() == 1 + 3);
  line();
  mirror_of("csv", folder);
  CHECK(read_file(csv.string()) == rows + "step,1,0.3333333333333333\r\n");
  mirror_of("tensorboard", folder);
  CHECK(events(event_file).size() == 1 + 4);
}

TEST_CASE("a training whose other forms cannot be written is trained to its end, with a note for each") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  write_file(config, tiny_config(R"({"epochs": 1, "max_steps": 2, "log_every": 1})", R"(, "log": ["csv", "tensorboard"])"));
  REQUIRE(run_azimuth({"train", config, "--run", run}).exit == 0);
  std::string resolved = read_file(run + "/config.json");
  resolved.replace(resolved.find("\"max_steps\": 2"), 14, "\"max_steps\": 4");
  write_file(run + "/config.json", resolved);
  for (const char* name : {"/metrics.csv", "/tensorboard"}) fs::remove_all(run + name);
  fs::create_symlink("/dev/full", run + "/metrics.csv");
  write_file(run + "/tensorboard", "a file, where the folder is to be");
  CommandResult result = run_azimuth({"resume", run});
  CHECK(result.exit == 0);
  for (const char* what : {"/metrics.csv: cannot be written: No space left on device", "/tensorboard: cannot be made: "}) {
    const std::string note = "azimuth: note: " + run + what;
    CHECK_MESSAGE(has(result.err, note), result.err);
    CHECK(result.err.find(note) == result.err.rfind(note));
  }
  CHECK(has(result.out, "Final test accuracy "));

  fs::remove(run + "/tensorboard");
  fs::remove(run + "/metrics.csv");
  CHECK(run_azimuth({"resume", run}).exit == 0);
  const std::string csv = read_file(run + "/metrics.csv"), jsonl = read_file(run + "/metrics.jsonl");
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 1 + std::count(jsonl.begin(), jsonl.end(), '\n'));
  CHECK(events(run + "/tensorboard/events.out.tfevents.0.azimuth").size() ==
        size_t(1 + std::count(jsonl.begin(), jsonl.end(), '\n')));
}
