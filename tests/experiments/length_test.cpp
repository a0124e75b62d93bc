// How long a training is, what its schedule makes of that, and what is said of a length that is odd.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numbers>
#include <sstream>

#include "core/base/files.h"
#include "core/safetensors.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"
#include "tests/experiments/command.h"
#include "tests/experiments/sweep_place.h"
#include "tests/experiments/tiny.h"

using az::read_file;
using az::write_file;
using az::test::has;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr double lr = 0.1;  // of the tiny config, which has 4 steps an epoch

// The tiny config with another schedule.
std::string with_schedule(const std::string& schedule, const std::string& train) {
  std::string text = tiny_config(train);
  const std::string from = R"("schedule": {"type": "cosine"})";
  return text.replace(text.find(from), from.size(), R"("schedule": )" + schedule);
}

struct Trained {
  CommandResult result;
  json config;                // resolved
  std::vector<double> rates;  // of the steps, over optimizer.lr
};

Trained trained(const std::string& text, const std::vector<std::string>& more = {}) {
  TemporaryFolder folder;
  const std::string file = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  write_file(file, text);
  std::vector<std::string> command = {"train", file, "--run", run, "--json"};
  command.insert(command.end(), more.begin(), more.end());
  Trained trained{.result = run_azimuth(command), .config = {}, .rates = {}};
  if (trained.result.exit != 0) return trained;
  trained.config = json::parse(read_file(run + "/config.json"));
  std::istringstream lines(read_file(run + "/metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    if (const json object = json::parse(line); object["kind"] == "step")
      trained.rates.push_back(object["lr"].get<double>() / lr);
  }
  return trained;
}

double cosine(double done) { return (1 + std::cos(std::numbers::pi * done)) / 2; }

}  // namespace

TEST_CASE("the schedule and the average's power are spread over what is trained: the smaller of epochs and max_steps") {
  struct Case {
    const char* train;
    int64_t steps;
  };
  for (const auto& [train, steps] : {Case{R"("epochs": 30, "max_steps": 7)", 7},
                                     {R"("epochs": 2, "max_steps": 500)", 8},
                                     {R"("epochs": 2)", 8},
                                     {R"("epochs": null, "max_steps": 13)", 13}}) {
    CAPTURE(train);
    const std::string options = std::string("{\"log_every\": 1, ") + train + "}";
    const std::vector<double> rates = trained(tiny_config(options)).rates;
    REQUIRE(int64_t(rates.size()) == steps);
    for (int64_t step = 0; step < steps; ++step)
      CHECK(rates[size_t(step)] == doctest::Approx(cosine(double(step) / double(steps))));
  }
  // At the top after 0.3 * 7 - 1 steps, at 1 / (25 * 1e4) in the last step.
  const std::string seven = R"({"epochs": 30, "max_steps": 7, "log_every": 1})";
  const std::vector<double> cycle = trained(with_schedule(R"({"type": "one_cycle"})", seven)).rates;
  REQUIRE(cycle.size() == 7);
  CHECK(cycle[0] == doctest::Approx(0.04));
  for (size_t step = 2; step < 7; ++step)
    CHECK(cycle[step] == doctest::Approx(4e-6 + (1 - 4e-6) * cosine((double(step) - 1.1) / 4.9)));
  const std::vector<double> line = trained(with_schedule(R"({"type": "polynomial"})", seven)).rates;
  REQUIRE(line.size() == 7);
  for (size_t step = 0; step < 7; ++step) CHECK(line[step] == doctest::Approx(1 - double(step) / 7));
}

TEST_CASE("an average's decay that grows to the end is whole at the end of what is trained") {
  // Of decay (step / steps)^power, with a huge power, only the last step's is not 0: the average is half the last weights and
  // half those of the step before.
  const std::string average = R"("average": {"type": "ema", "decay": 0.5, "power": 1e6}})";
  TemporaryFolder folder;
  const auto tensor = [&](const std::string& name, const std::string& file, int64_t steps) {
    const std::string config = (folder.path / "exp.json").string(), run = (folder.path / name).string();
    write_file(config,
               with_schedule(R"({"type": "constant"})",
                             fmt::format(R"({{"max_steps": {}, "deterministic": true, "threads": 1, {})", steps, average)));
    if (!fs::exists(run)) REQUIRE(run_azimuth({"train", config, "--run", run}).exit == 0);
    return az::read_safetensors(run + "/checkpoints/last/" + file).tensors.at("5.weight").to_vector<double>();
  };
  const auto before = tensor("six", "model.safetensors", 6), last = tensor("seven", "model.safetensors", 7);
  const auto mean = tensor("seven", "average.safetensors", 7);
  for (size_t i = 0; i < mean.size(); ++i) CHECK(mean[i] == doctest::Approx((before[i] + last[i]) / 2).epsilon(1e-5));
}

TEST_CASE("max_steps rules where epochs is not given, and the resolved config says so and means the same") {
  TemporaryFolder folder;
  const std::string resolved = (folder.path / "resolved.json").string();
  const auto check = [&](const std::string& train, const json& epochs, const json& max_steps, size_t steps) {
    CAPTURE(train);
    const std::vector<std::string> one_step_an_epoch = {"--set", "data.batch_size=60"};
    const Trained first = trained(tiny_config(train), one_step_an_epoch);
    CHECK(first.config["train"]["epochs"] == epochs);
    CHECK(first.config["train"]["max_steps"] == max_steps);
    CHECK(first.rates.size() == steps);
    const Trained again = trained(first.config.dump());
    CHECK(again.config["train"] == first.config["train"]);
    CHECK(again.rates == first.rates);
  };
  check(R"({"max_steps": 35, "log_every": 1})", nullptr, 35, 35);  // more than the default
  check(R"({"epochs": 5, "max_steps": 6, "log_every": 1})", 5, 6, 5);
  check(R"({"epochs": 5, "max_steps": 4, "log_every": 1})", 5, 4, 4);
  check(R"({"log_every": 1})", 30, nullptr, 30);
  check(R"({"epochs": null, "max_steps": null, "log_every": 1})", 30, nullptr, 30);
}

TEST_CASE("progress counts the epochs that are trained, the one that max_steps cuts included") {
  const Trained cut = trained(tiny_config(R"({"epochs": 30, "max_steps": 6})"));
  CHECK(has(cut.result.err, "epoch 1/2  lr "));
  CHECK(has(cut.result.err, "epoch 2/2  lr "));
  CHECK(json::parse(cut.result.out)["epochs"] == 2);
  CHECK(json::parse(cut.result.out)["step"] == 6);
}

TEST_CASE("a warm-up that leaves nothing of the training takes half of it, and the rate goes down from the top, with a note") {
  for (const char* type : {"constant", "step", "cosine", "polynomial", "exponential", "one_cycle"}) {
    for (const char* warmup : {R"("warmup_epochs": 2)", R"("warmup_epochs": 1, "warmup_steps": 4)", R"("warmup_steps": 8)"}) {
      if (std::string(type) != "one_cycle" && has(warmup, "steps")) continue;
      CAPTURE(type);
      CAPTURE(warmup);
      const std::string schedule = fmt::format(R"({{"type": "{}", {}}})", type, warmup);
      const Trained run = trained(with_schedule(schedule, R"({"epochs": 2, "log_every": 1})"));
      REQUIRE(run.rates.size() == 8);
      const char* key = has(warmup, "epochs") ? "warmup_epochs" : "warmup_steps";
      CHECK(has(run.result.err,
                fmt::format("azimuth: note: schedule.{}: the warm-up of 8 steps would leave nothing of the training, "
                            "which has 8; it takes 4 of them\n",
                            key)));
      CHECK(*std::max_element(run.rates.begin(), run.rates.end()) > 0.8);
      if (std::string(type) == "one_cycle") {
        CHECK(run.rates.back() == doctest::Approx(4e-6));
      } else {
        for (size_t step = 0; step < 4; ++step) CHECK(run.rates[step] == doctest::Approx(double(step + 1) / 4));
      }
      if (std::string(type) == "cosine")
        for (size_t step = 4; step < 8; ++step) CHECK(run.rates[step] == doctest::Approx(cosine((double(step) - 4) / 4)));
    }
  }
  // So it is where max_steps cuts a training short in its warm-up; one step has the full rate.
  const Trained cut =
      trained(with_schedule(R"({"type": "cosine", "warmup_epochs": 2})", R"({"epochs": 3, "max_steps": 5, "log_every": 1})"));
  const double expected[] = {0.5, 1, 1, cosine(1.0 / 3), cosine(2.0 / 3)};
  REQUIRE(cut.rates.size() == 5);
  for (size_t step = 0; step < 5; ++step) CHECK(cut.rates[step] == doctest::Approx(expected[step]));
  CHECK(has(cut.result.err, "which has 5; it takes 2 of them\n"));
  for (const char* type : {"cosine", "one_cycle"})
    CHECK(trained(with_schedule(fmt::format(R"({{"type": "{}", "warmup_epochs": 2}})", type),
                                R"({"epochs": 3, "max_steps": 1, "log_every": 1})"))
              .rates == std::vector<double>{1});
}

TEST_CASE("a warm-up longer than the epochs of the training is refused, with its place") {
  TemporaryFolder folder;
  const std::string file = (folder.path / "exp.json").string();
  const auto refused = [&](const std::string& schedule, const std::string& train, const std::string& why) {
    CAPTURE(schedule);
    write_file(file, with_schedule(schedule, train));
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"check", file}, {"train", file, "--run", (folder.path / "run").string()}, {"bench", file}}) {
      const CommandResult result = run_azimuth(command);
      CHECK(result.exit == 2);
      CHECK(result.err == "azimuth: " + file + ":14:" + why + "\n");
      CHECK_FALSE(fs::exists(folder.path / "run"));
    }
  };
  refused(R"({"type": "cosine", "warmup_epochs": 500})", R"({"epochs": 2})",
          "51: schedule.warmup_epochs: the warm-up of 2000 steps is longer than the training of 8 (2 epochs); shorten it");
  refused(R"({"type": "one_cycle", "warmup_steps": 9})", R"({"epochs": 2})",
          "53: schedule.warmup_steps: the warm-up of 9 steps is longer than the training of 8 (2 epochs); shorten it");
  refused(R"({"type": "step", "warmup_epochs": 2, "warmup_steps": 1})", R"({"epochs": 2, "max_steps": 4})",
          "49: schedule.warmup_epochs: the warm-up of 9 steps is longer than the training of 8 (2 epochs); shorten it");
  refused(R"({"type": "constant", "warmup_steps": 7})", R"({"max_steps": 6})",
          "52: schedule.warmup_steps: the warm-up of 7 steps is longer than the training of 6 (1.5 epochs); shorten it");
  refused(R"({"type": "constant", "warmup_epochs": 1e300})", R"({"epochs": 2})",
          "53: schedule.warmup_epochs: the warm-up of 9e+18 steps is longer than the training of 8 (2 epochs); shorten it");
}

TEST_CASE("on resume, a length that the warm-up does not fit is refused with what can be done about it") {
  TemporaryFolder folder;
  const std::string file = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  write_file(file, with_schedule(R"({"type": "cosine", "warmup_epochs": 3})", R"({"epochs": 6, "max_steps": 4})"));
  REQUIRE(run_azimuth({"train", file, "--run", run}).exit == 0);
  const CommandResult shorter = run_azimuth({"resume", run, "--set", "train.epochs=2", "--set", "train.max_steps=null"});
  CHECK(shorter.exit == 2);
  CHECK(has(shorter.err, "schedule.warmup_epochs: the warm-up of 12 steps is longer than the training of 8 (2 epochs)"));
  CHECK(shorter.err.ends_with(
      "; shorten it, or put back the train.epochs and train.max_steps that the run began with; a run takes "
      "no other change than those that azimuth describe config says are for resume: otherwise train "
      "anew with azimuth train\n"));
  CHECK(run_azimuth({"resume", run, "--set", "train.epochs=6", "--set", "train.max_steps=5"}).exit == 0);
}

TEST_CASE("what is odd is noted in the same words by check, train, resume and sweep --check, and trained") {
  bool everywhere = true;
  const auto noted = [&](const std::string& schedule, const std::string& train, const std::vector<std::string>& notes) {
    CAPTURE(schedule);
    CAPTURE(train);
    const SweepPlace place(R"({"base": "base.json", "seeds": [1, 2]})");
    write_file(place.base, with_schedule(schedule, train));
    const std::string run = (place.folder.path / "run").string();
    std::vector<std::vector<std::string>> commands = {{"check", place.base}};
    if (everywhere) {
      commands.push_back({"train", place.base, "--run", run});
      commands.push_back({"resume", run});
      commands.push_back(place.command({"--check"}));
    }
    for (const std::vector<std::string>& command : commands) {
      const CommandResult result = run_azimuth(command);
      CHECK(result.exit == 0);
      size_t lines = 0;  // others are about the machine
      for (const char* start : {"azimuth: note: schedule.", "azimuth: note: train."})
        for (size_t at = 0; (at = result.err.find(start, at)) != std::string::npos; ++at) ++lines;
      CHECK_MESSAGE(lines == notes.size(), result.err);
      for (const std::string& note : notes) CHECK_MESSAGE(has(result.err, "azimuth: note: " + note + "\n"), result.err);
    }
  };
  const std::string has_8 = "the training has 8 steps (2 epochs)";
  const std::string two = R"({"epochs": 2})";
  noted(R"({"type": "cosine", "warmup_epochs": 1})", two, {});
  noted(R"({"type": "multistep", "milestones": [1, 40, 60], "warmup_epochs": 2})", R"({"epochs": 2, "max_steps": 500})",
        {"train.max_steps: 500 is not reached, as 2 epochs have 8 steps",
         "schedule.warmup_epochs: the warm-up of 8 steps would leave nothing of the training, which has 8; it takes 4 of them",
         "schedule.warmup_epochs: the warm-up ends at 0.1 of optimizer.lr, as the rate drops within it",
         "schedule.milestones: not reached: 40, 60, as " + has_8});
  everywhere = false;
  noted(R"({"type": "multistep", "milestones": [2, 1]})", two, {"schedule.milestones: not reached: 2, as " + has_8});
  noted(R"({"type": "multistep", "milestones": [1.75]})", two, {});
  noted(R"({"type": "multistep", "milestones": [0, 1]})", two,
        {"schedule.milestones: 0 is before the first step, so that no step has the full rate"});
  noted(R"({"type": "multistep", "milestones": []})", two,
        {"schedule.milestones: an empty list never drops the learning rate"});
  noted(R"({"type": "multistep", "milestones": [1], "gamma": 1})", two,
        {"schedule.gamma: 1 leaves the learning rate as it is"});
  noted(R"({"type": "step"})", two, {"schedule.every_epochs: the first drop would come after 30 epochs, and " + has_8});
  noted(R"({"type": "step", "every_epochs": 2})", two,
        {"schedule.every_epochs: the first drop would come after 2 epochs, and " + has_8});
  noted(R"({"type": "step", "every_epochs": 1.75})", two, {});
  noted(R"({"type": "step", "every_epochs": 1, "gamma": 2})", two, {"schedule.gamma: 2 makes the learning rate grow"});
  noted(R"({"type": "step", "every_epochs": 1})", R"({"epochs": 2, "max_steps": 3})",
        {"schedule.every_epochs: the first drop would come after 1 epochs, and the training has 3 steps (0.75 epochs)"});
  noted(R"({"type": "exponential", "gamma": 1})", two, {"schedule.gamma: 1 leaves the learning rate as it is"});
  noted(R"({"type": "exponential", "gamma": 1e-7})", two,
        {"schedule.gamma: the learning rate is below a millionth of optimizer.lr from the middle of the training on"});
  noted(R"({"type": "cosine", "min_factor": 1})", two, {"schedule.min_factor: 1 leaves the learning rate as it is"});
  noted(R"({"type": "one_cycle", "pct_start": 1})", two, {"schedule.pct_start: 1 leaves no step for the way down"});
  noted(R"({"type": "one_cycle", "div_factor": 0.5})", two, {"schedule.div_factor: 0.5 starts above optimizer.lr"});
  noted(R"({"type": "one_cycle", "div_factor": 2, "final_div_factor": 0.1})", two,
        {"schedule.final_div_factor: 0.1 ends above optimizer.lr"});
  noted(R"({"type": "cosine"})", R"({"epochs": 2, "max_steps": 500})",
        {"train.max_steps: 500 is not reached, as 2 epochs have 8 steps"});
  noted(R"({"type": "cosine"})", R"({"epochs": 2, "max_steps": 8})", {});
  noted(
      R"({"type": "cosine"})", R"({"epochs": 2, "average": {"type": "lookahead", "every": 9}})",
      {"train.average.every: the weights would enter the average after 9 steps, and the training has 8: what is evaluated are "
       "the "
       "weights of before it"});
  noted(R"({"type": "cosine"})", R"({"epochs": 2, "average": {"type": "lookahead", "every": 8, "decay": 0.9}})", {});
  // 0.999^8 = 0.992
  noted(
      R"({"type": "cosine"})", R"({"epochs": 2, "average": {"type": "ema"}})",
      {"train.average.decay: 99 % of what is evaluated in the end are the weights of before the training, which has 8 steps"});
  noted(R"({"type": "cosine"})", R"({"epochs": 2, "average": {"type": "ema", "decay": 0.9}})", {});  // 0.43
  noted(R"({"type": "cosine"})", R"({"epochs": 2, "average": {"type": "ema", "power": 1}})", {});
}

TEST_CASE("a sweep names the groups of which something is odd, where it is not all of them") {
  const SweepPlace place(R"({"base": "base.json", "grid": {"train.max_steps": [7, 500], "optimizer.lr": [0.1, 0.2]}})");
  const std::string err = place.run({"--check"}).err;
  CHECK(has(
      err, "azimuth: note: train.max_steps: 500 is not reached, as 2 epochs have 8 steps (max_steps=500,lr=0.1 and 1 more)\n"));
}

TEST_CASE("a longer training in which the decay of the average alone depends on the length is told so") {
  TemporaryFolder folder;
  const std::string config = (folder.path / "exp.json").string(), run = (folder.path / "run").string();
  const std::string average = R"("average": {"type": "ema", "decay": 0.5, "power": 1}})";
  write_file(config, with_schedule(R"({"type": "constant"})", R"({"epochs": 2, )" + average));
  REQUIRE(run_azimuth({"train", config, "--run", run}).exit == 0);
  CHECK(has(run_azimuth({"resume", run, "--set", "train.epochs=3"}).err,
            "azimuth: note: the training has 12 steps now, not 8; the learning rate does not depend on that, but the decay of "
            "train.average does\n"));
}
