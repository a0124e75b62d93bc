#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>

#include "core/base/error.h"

namespace az::optim {
namespace {

int64_t steps_in(double epochs, int64_t steps_per_epoch) {
  return int64_t(std::llround(std::min(epochs * double(steps_per_epoch), 9e18)));
}

// What the options ask for.
template <class Options> double warmup_wanted(const Options& options, int64_t steps_per_epoch) {
  return double(steps_in(options.warmup_epochs, steps_per_epoch)) + double(options.warmup_steps);
}
// What is taken in a training of so many steps.
template <class Options> int64_t warmup_taken(const Options& options, int64_t steps_per_epoch, int64_t steps) {
  const double wanted = warmup_wanted(options, steps_per_epoch);
  return wanted < double(steps) ? int64_t(wanted) : steps / 2;
}

// The factor by `main(moment, first step of it)`, with the warm-up before it.
template <class Options, class Main> double warmed_up(const Options& options, Moment at, const Main& main) {
  if (at.step < 0 || at.steps_per_epoch < 1) {
    fail("lr_factor: step {} with {} steps an epoch is no moment of training", at.step, at.steps_per_epoch);
  }
  const int64_t warmup = warmup_taken(options, at.steps_per_epoch, at.total_steps);
  const double ramp = at.step < warmup ? double(at.step + 1) / double(warmup) : 1;
  at.step = std::max(at.step, warmup);
  return ramp * main(at, warmup);
}

// Share of the steps from `first` on that is done, at most 1.
double share(const Moment& at, int64_t first) {
  return at.step >= at.total_steps ? (at.step > first ? 1 : 0) : double(at.step - first) / double(at.total_steps - first);
}

double half_cosine(double t) { return (1 + std::cos(std::numbers::pi * t)) / 2; }

// Drops of a step schedule before the step. The slack is for an every_epochs that no binary fraction equals: its last step must
// still count.
double drops(const StepSchedule& options, int64_t step, int64_t steps_per_epoch) {
  return std::floor(double(step) / (options.every_epochs * double(steps_per_epoch)) + 1e-9);
}

std::string text(const Length& length) {
  return fmt::format("the training has {} steps ({:.4g} epochs)", length.steps, length.epochs());
}

// What is odd about the warm-up, which every schedule has.
template <class Options> std::vector<std::string> warmup_oddities(const Options& options, const Length& length) {
  const double wanted = warmup_wanted(options, length.steps_per_epoch);
  const char* key = options.warmup_epochs > 0 ? "warmup_epochs" : "warmup_steps";
  if (wanted > double(length.planned_steps)) {
    config::invalid_option(
        key, fmt::format("the warm-up of {} steps is longer than the training of {} ({:.4g} epochs); shorten it", wanted,
                         length.planned_steps, double(length.planned_steps) / double(length.steps_per_epoch)));
  }
  const int64_t taken = warmup_taken(options, length.steps_per_epoch, length.steps);
  std::vector<std::string> result;
  if (wanted >= double(length.steps)) {
    result.push_back(
        fmt::format("{}: the warm-up of {} steps would leave nothing of the training, which has {}; it takes {} of them", key,
                    wanted, length.steps, taken));
  } else if (taken > 0 && taken + 1 == length.steps) {
    result.push_back(
        fmt::format("{}: the warm-up of {} steps leaves one of the training's {}, and no way down", key, taken, length.steps));
  }
  const double top = lr_factor(options, length.moment(taken));
  if (taken > 0 && taken + 1 < length.steps && top < 1 - 1e-9)
    result.push_back(fmt::format("{}: the warm-up ends at {:.4g} of optimizer.lr, as the rate drops within it", key, top));
  return result;
}

// Notes an option that makes the rate fall too fast to train.
template <class Options>
void add_fall_oddity(const char* key, const Options& options, const Length& length, std::vector<std::string>& oddities) {
  const int64_t warmup = warmup_taken(options, length.steps_per_epoch, length.steps);
  if (lr_factor(options, length.moment(warmup + (length.steps - warmup) / 2)) >= 1e-6) return;
  oddities.push_back(fmt::format("{}: the learning rate is below a millionth of optimizer.lr from the middle of {} on", key,
                                 warmup > 0 ? "what follows the warm-up" : "the training"));
}

template <class Options>
void add_gamma_oddities(const Options& options, const Length& length, std::vector<std::string>& oddities) {
  if (options.gamma == 1) oddities.push_back("gamma: 1 leaves the learning rate as it is");
  if (options.gamma > 1) oddities.push_back(fmt::format("gamma: {} makes the learning rate grow", options.gamma));
  add_fall_oddity("gamma", options, length, oddities);
}

}  // namespace

double lr_factor(const ConstantSchedule& options, const Moment& moment) {
  return warmed_up(options, moment, [](const Moment&, int64_t) { return 1.0; });
}

double lr_factor(const StepSchedule& options, const Moment& moment) {
  return warmed_up(options, moment, [&](const Moment& at, int64_t) {
    return std::pow(options.gamma, drops(options, at.step, at.steps_per_epoch));
  });
}

double lr_factor(const MultistepSchedule& options, const Moment& moment) {
  return warmed_up(options, moment, [&](const Moment& at, int64_t) {
    const auto passed = std::count_if(options.milestones.begin(), options.milestones.end(),
                                      [&](double epoch) { return at.step >= steps_in(epoch, at.steps_per_epoch); });
    return std::pow(options.gamma, double(passed));
  });
}

double lr_factor(const CosineSchedule& options, const Moment& moment) {
  return warmed_up(options, moment, [&](const Moment& at, int64_t first) {
    return options.min_factor + (1 - options.min_factor) * half_cosine(share(at, first));
  });
}

double lr_factor(const PolynomialSchedule& options, const Moment& moment) {
  return warmed_up(options, moment,
                   [&](const Moment& at, int64_t first) { return std::pow(1 - share(at, first), options.power); });
}

double lr_factor(const ExponentialSchedule& options, const Moment& moment) {
  return warmed_up(options, moment, [&](const Moment& at, int64_t first) {
    return std::pow(options.gamma, double(at.step - first) / double(at.steps_per_epoch));
  });
}

double lr_factor(const OneCycleSchedule& options, const Moment& moment) {
  return warmed_up(options, moment, [&](const Moment& at, int64_t first) {
    const double steps = double(std::max<int64_t>(at.total_steps - first, 1)),
                 step = std::min(double(at.step - first), steps - 1);
    if (steps == 1) return 1.0;
    const double start = 1 / options.div_factor, end = start / options.final_div_factor;
    // The step at the maximum, not always whole.
    const double top = first > 0 ? 0 : options.pct_start * steps - 1;
    const bool rising = step <= top && top > 0;
    const double span = rising ? top : steps - 1 - top;
    const double t = span > 0 ? (rising ? step : step - top) / span : 1;
    const double weight = options.anneal == "cos" ? half_cosine(t) : 1 - t;
    return rising ? 1 + (start - 1) * weight : end + (1 - end) * weight;
  });
}

std::vector<std::string> oddities(const ConstantSchedule& options, const Length& length) {
  return warmup_oddities(options, length);
}

std::vector<std::string> oddities(const StepSchedule& options, const Length& length) {
  std::vector<std::string> result = warmup_oddities(options, length);
  if (drops(options, length.steps - 1, length.steps_per_epoch) < 1) {
    result.push_back(
        fmt::format("every_epochs: the first drop would come after {} epochs, and {}", options.every_epochs, text(length)));
  } else {
    add_gamma_oddities(options, length, result);
  }
  return result;
}

std::vector<std::string> oddities(const MultistepSchedule& options, const Length& length) {
  std::vector<std::string> result = warmup_oddities(options, length);
  std::string unreached;
  std::set<double> seen;
  for (const double epoch : options.milestones) {
    const int64_t step = steps_in(epoch, length.steps_per_epoch);
    if (step == 0)
      result.push_back(fmt::format("milestones: {} is before the first step, so that no step has the full rate", epoch));
    if (!seen.insert(epoch).second)
      result.push_back(fmt::format("milestones: {} is there more than once: the rate drops at it each time", epoch));
    if (step >= length.steps) unreached += fmt::format("{}{}", unreached.empty() ? "" : ", ", epoch);
  }
  if (!unreached.empty()) result.push_back(fmt::format("milestones: not reached: {}, as {}", unreached, text(length)));
  if (options.milestones.empty()) result.push_back("milestones: an empty list never drops the learning rate");
  add_gamma_oddities(options, length, result);
  return result;
}

std::vector<std::string> oddities(const CosineSchedule& options, const Length& length) {
  std::vector<std::string> result = warmup_oddities(options, length);
  if (options.min_factor == 1) result.push_back("min_factor: 1 leaves the learning rate as it is");
  return result;
}

std::vector<std::string> oddities(const PolynomialSchedule& options, const Length& length) {
  std::vector<std::string> result = warmup_oddities(options, length);
  add_fall_oddity("power", options, length, result);
  return result;
}

std::vector<std::string> oddities(const ExponentialSchedule& options, const Length& length) {
  std::vector<std::string> result = warmup_oddities(options, length);
  add_gamma_oddities(options, length, result);
  return result;
}

std::vector<std::string> oddities(const OneCycleSchedule& options, const Length& length) {
  std::vector<std::string> result = warmup_oddities(options, length);
  const bool warms_up = warmup_taken(options, length.steps_per_epoch, length.steps) > 0;
  if (warms_up && options.pct_start != OneCycleSchedule().pct_start)
    result.push_back("pct_start: means nothing, as the warm-up takes the place of the cycle's rise");
  if (!warms_up && options.pct_start == 1) result.push_back("pct_start: 1 leaves no step for the way down");
  if (options.div_factor < 1) result.push_back(fmt::format("div_factor: {} starts above optimizer.lr", options.div_factor));
  if (options.div_factor * options.final_div_factor < 1)
    result.push_back(fmt::format("final_div_factor: {} ends above optimizer.lr", options.final_div_factor));
  return result;
}

}  // namespace az::optim
