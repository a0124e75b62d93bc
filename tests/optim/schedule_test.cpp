#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/config/json_document.h"
#include "optim/builtin.h"

using namespace az;
using namespace az::optim;

namespace {

Moment at(int64_t step) { return {.step = step, .total_steps = 100, .steps_per_epoch = 10}; }

}  // namespace

TEST_CASE("Warm-up is linear and ends at the schedule's own value") {
  const ConstantSchedule constant{.warmup_epochs = 0.5, .warmup_steps = 3};  // 8 steps
  CHECK(lr_factor(constant, at(0)) == 1.0 / 8);
  CHECK(lr_factor(constant, at(3)) == 4.0 / 8);
  CHECK(lr_factor(constant, at(7)) == 1);
  CHECK(lr_factor(constant, at(99)) == 1);
  CHECK(lr_factor(ConstantSchedule{}, at(0)) == 1);
}

TEST_CASE("Every schedule warms up over epochs and steps together, to the value it has then") {
  register_builtin_schedules();
  for (const std::string& name : ScheduleRegistry::names()) {
    CAPTURE(name);
    const std::string milestones = name == "multistep" ? ", \"milestones\": [1, 8]" : "";
    const std::string text = "{\"type\": \"" + name + "\", \"warmup_epochs\": 1.2, \"warmup_steps\": 4" + milestones + "}";
    const auto schedule = config::parse<config::Component<ScheduleRegistry>>(config::parse_text(text, "test.json")).create();
    for (int64_t step = 0; step < 16; ++step)
      CHECK(schedule(at(step)) == doctest::Approx(double(step + 1) / 16 * schedule(at(16))));
    CHECK(schedule(at(16)) > 0);
  }
}

TEST_CASE("Milestones count from the start of training; the others start where warm-up ends") {
  const StepSchedule step{.every_epochs = 3, .gamma = 0.5, .warmup_epochs = 2};
  CHECK(lr_factor(step, at(29)) == 1);
  CHECK(lr_factor(step, at(30)) == 0.5);
  const MultistepSchedule multistep{.milestones = {1, 4}, .gamma = 0.5, .warmup_epochs = 2};
  CHECK(lr_factor(multistep, at(9)) == doctest::Approx(0.25));  // halfway to 0.5, the value at epoch 2
  CHECK(lr_factor(multistep, at(39)) == 0.5);
  CHECK(lr_factor(multistep, at(40)) == 0.25);
  CHECK(lr_factor(CosineSchedule{.warmup_epochs = 2}, at(60)) == doctest::Approx(0.5));
  CHECK(lr_factor(PolynomialSchedule{.warmup_epochs = 2}, at(60)) == doctest::Approx(0.5));
  CHECK(lr_factor(ExponentialSchedule{.gamma = 0.5, .warmup_epochs = 2}, at(40)) == doctest::Approx(0.25));
}

TEST_CASE("Every drop of a fractional every_epochs falls on its step") {
  const StepSchedule step{.every_epochs = 27.0 / 13, .gamma = 0.5};  // times 13 steps: a hair above 27
  CHECK(lr_factor(step, {.step = 26, .total_steps = 100, .steps_per_epoch = 13}) == 1);
  CHECK(lr_factor(step, {.step = 27, .total_steps = 100, .steps_per_epoch = 13}) == 0.5);
}

TEST_CASE("Every schedule is finite and at least 0 in any run, however short or overrun") {
  register_builtin_schedules();
  register_builtin_schedules();
  CHECK(ScheduleRegistry::names() ==
        std::vector<std::string>{"constant", "cosine", "exponential", "multistep", "one_cycle", "polynomial", "step"});
  for (const std::string& name : ScheduleRegistry::names()) {
    for (const char* warmup : {"0", "2", "50"}) {
      const std::string milestones = name == "multistep" ? ", \"milestones\": [2]" : "";
      const std::string text = "{\"type\": \"" + name + "\", \"warmup_epochs\": " + warmup + milestones + "}";
      CAPTURE(text);
      const auto schedule = config::parse<config::Component<ScheduleRegistry>>(config::parse_text(text, "test.json")).create();
      for (int64_t total : {1, 2, 3, 4, 10, 20, 100}) {
        for (int64_t step = 0; step < total + 3; ++step) {
          const double factor = schedule({.step = step, .total_steps = total, .steps_per_epoch = 10});
          CHECK(std::isfinite(factor));
          CHECK(factor >= 0);
          CHECK(factor <= 1);
        }
      }
    }
  }
}

TEST_CASE("A moment outside training is an error") {
  CHECK_THROWS_AS(lr_factor(CosineSchedule{}, {.step = -1}), Error);
  CHECK_THROWS_AS(lr_factor(CosineSchedule{}, {.steps_per_epoch = 0}), Error);
}

TEST_CASE("A warm-up that leaves nothing of the training takes half of it") {
  const CosineSchedule cosine{.warmup_epochs = 1};
  for (int64_t total = 1; total <= 10; ++total) {
    CAPTURE(total);
    const int64_t warmup = total / 2;
    for (int64_t step = 0; step < total; ++step) {
      const double done = double(step - warmup) / double(total - warmup);
      const double expected = step < warmup ? double(step + 1) / double(warmup) : (1 + std::cos(std::numbers::pi * done)) / 2;
      CHECK(lr_factor(cosine, {.step = step, .total_steps = total, .steps_per_epoch = 10}) == doctest::Approx(expected));
    }
  }
  // One step less leaves one for the schedule.
  CHECK(lr_factor(cosine, {.step = 4, .total_steps = 11, .steps_per_epoch = 10}) == doctest::Approx(0.5));
}

TEST_CASE("A cycle is at its top in some step, however short it is, and warms up to more than its end") {
  for (const char* anneal : {"cos", "linear"}) {
    for (int64_t warmup = 0; warmup <= 12; ++warmup) {
      for (int64_t total = 1; total <= 12; ++total) {
        CAPTURE(warmup);
        CAPTURE(total);
        const OneCycleSchedule cycle{.anneal = anneal, .warmup_steps = warmup};
        double top = 0;
        for (int64_t step = 0; step < total; ++step)
          top = std::max(top, lr_factor(cycle, {.step = step, .total_steps = total}));
        CHECK(top >= 1 - 0.4 / 1.4);  // of two steps the first is 0.4 steps after the top, the second the end
      }
    }
  }
}

TEST_CASE(
    "A warm-up takes the place of a cycle's rise: however long it is, the rate goes up to lr in a straight line, then down") {
  for (const char* anneal : {"cos", "linear"}) {
    for (int64_t total = 2; total <= 60; ++total) {
      for (int64_t warmup = 1; warmup < total; ++warmup) {
        CAPTURE(anneal);
        CAPTURE(total);
        CAPTURE(warmup);
        const OneCycleSchedule cycle{.anneal = anneal, .warmup_steps = warmup};
        const int64_t down = total - warmup - 1;  // steps from the top to the end
        const double end = 1 / (25 * 1e4);
        double sum = 0, worst = 0;
        for (int64_t step = 0; step < total; ++step) {
          const double t = down > 0 ? double(step - warmup) / double(down) : 0;
          const double fall = anneal == std::string("cos") ? (1 + std::cos(std::numbers::pi * t)) / 2 : 1 - t;
          const double expected = step < warmup ? double(step + 1) / double(warmup) : end + (1 - end) * fall;
          const double factor = lr_factor(cycle, {.step = step, .total_steps = total});
          worst = std::max(worst, std::fabs(factor - expected));
          sum += factor;
        }
        CHECK(worst < 1e-12);
        CHECK(sum / double(total) > 0.45);
      }
    }
  }
}

TEST_CASE("Every schedule with every warm-up shorter than the training trains at a sensible rate, or says what is odd") {
  register_builtin_schedules();
  for (const std::string& name : ScheduleRegistry::names()) {
    for (const char* options : {"", ", \"gamma\": 0.1", ", \"gamma\": 1e-4", ", \"every_epochs\": 1", ", \"power\": 9",
                                ", \"power\": 1e10", ", \"pct_start\": 1", ", \"pct_start\": 0"}) {
      for (int64_t total : {1, 2, 3, 5, 8, 13, 21, 60}) {
        for (int64_t warmup = 0; warmup < total; ++warmup) {
          const std::string text = fmt::format(R"({{"type": "{}", "warmup_steps": {}{}{}}})", name, warmup,
                                               name == "multistep" ? R"(, "milestones": [1, 4])" : "", options);
          Schedule schedule;
          try {
            schedule = config::parse<config::Component<ScheduleRegistry>>(config::parse_text(text, "test.json")).create();
          } catch (const ConfigError&) {
            break;  // the option is another schedule's
          }
          const Length length{.steps = total, .planned_steps = total, .steps_per_epoch = 10};
          double sum = 0, top = 0;
          for (int64_t step = 0; step < total; ++step) {
            sum += schedule(length.moment(step));
            top = std::max(top, schedule(length.moment(step)));
          }
          CAPTURE(text);
          CAPTURE(total);
          if (schedule.examine(length).empty()) {
            CHECK(top > 0.49);  // of a cycle of two steps without a rise
            CHECK(sum / double(total) > 0.05);
          }
        }
      }
    }
  }
}

TEST_CASE("What is odd about a warm-up, and about a power, is said") {
  const auto said = [](const auto& options, int64_t steps) {
    std::string text;
    for (const std::string& one : oddities(options, {.steps = steps, .planned_steps = steps, .steps_per_epoch = 10}))
      text += one + "\n";
    return text;
  };
  CHECK(said(OneCycleSchedule{.warmup_steps = 7}, 8) ==
        "warmup_steps: the warm-up of 7 steps leaves one of the training's 8, and no way down\n");
  CHECK(said(CosineSchedule{.warmup_epochs = 1}, 11) ==
        "warmup_epochs: the warm-up of 10 steps leaves one of the training's 11, and no way down\n");
  CHECK(said(OneCycleSchedule{.warmup_steps = 6}, 8) == "");
  CHECK(said(OneCycleSchedule{.pct_start = 0.5, .warmup_steps = 6}, 8) ==
        "pct_start: means nothing, as the warm-up takes the place of the cycle's rise\n");
  CHECK(said(MultistepSchedule{.milestones = {1}, .warmup_steps = 15}, 40) ==
        "warmup_steps: the warm-up ends at 0.1 of optimizer.lr, as the rate drops within it\n");
  // A warm-up that is cut is no other in this: it takes 30 steps of 60, and one drop in each 20.
  const auto cut =
      oddities(StepSchedule{.every_epochs = 2, .warmup_epochs = 6}, {.steps = 60, .planned_steps = 100, .steps_per_epoch = 10});
  CHECK(cut ==
        std::vector<std::string>{
            "warmup_epochs: the warm-up of 60 steps would leave nothing of the training, which has 60; it takes 30 of them",
            "warmup_epochs: the warm-up ends at 0.1 of optimizer.lr, as the rate drops within it"});
  CHECK(said(MultistepSchedule{.milestones = {1, 3, 3, 2, 3, 1}}, 40) ==
        "milestones: 3 is there more than once: the rate drops at it each time\n"
        "milestones: 3 is there more than once: the rate drops at it each time\n"
        "milestones: 1 is there more than once: the rate drops at it each time\n");
  CHECK(said(MultistepSchedule{.milestones = {1, 3}}, 40) == "");
  const std::string middle = "power: the learning rate is below a millionth of optimizer.lr from the middle of ";
  CHECK(said(PolynomialSchedule{.power = 1e10}, 4) == middle + "the training on\n");
  CHECK(said(PolynomialSchedule{.power = 1e10, .warmup_steps = 6}, 10) == middle + "what follows the warm-up on\n");
  CHECK(said(PolynomialSchedule{.power = 2}, 4) == "");
}

TEST_CASE("A schedule without a length never ends") {
  CHECK(lr_factor(ConstantSchedule{.warmup_steps = 4}, {.step = 1}) == 0.5);
  CHECK(lr_factor(CosineSchedule{}, {.step = 1000000}) == 1);
}

TEST_CASE("Any function of a moment is a schedule, which nobody asks but for a step") {
  const Schedule half = [](const Moment& moment) {
    CHECK(moment.step == 4);
    return 0.5;
  };
  CHECK(half({.step = 4}) == 0.5);
  CHECK(half.examine({.steps = 8, .planned_steps = 8}).empty());
  CHECK(half != nullptr);
  CHECK(Schedule() == nullptr);
}
