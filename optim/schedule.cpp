#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"

namespace az::optim {
namespace {

int64_t steps_in(double epochs, const Moment& at) { return std::llround(epochs * double(at.steps_per_epoch)); }

// The factor by `main(moment, first step of it)`, with the warm-up before it.
template <class Options, class Main> double warmed_up(const Options& options, Moment at, const Main& main) {
  if (at.step < 0 || at.steps_per_epoch < 1) {
    fail("lr_factor: step {} with {} steps an epoch is no moment of training", at.step, at.steps_per_epoch);
  }
  const int64_t warmup = steps_in(options.warmup_epochs, at) + options.warmup_steps;
  const double ramp = at.step < warmup ? double(at.step + 1) / double(warmup) : 1;
  at.step = std::max(at.step, warmup);
  return ramp * main(at, warmup);
}

// Share of the steps from `first` on that is done, at most 1.
double share(const Moment& at, int64_t first) {
  return at.step >= at.total_steps ? (at.step > first ? 1 : 0) : double(at.step - first) / double(at.total_steps - first);
}

double half_cosine(double t) { return (1 + std::cos(std::numbers::pi * t)) / 2; }

}  // namespace

double lr_factor(const ConstantSchedule& options, const Moment& moment) {
  return warmed_up(options, moment, [](const Moment&, int64_t) { return 1.0; });
}

double lr_factor(const StepSchedule& options, const Moment& moment) {
  return warmed_up(options, moment, [&](const Moment& at, int64_t) {
    // The slack is for an every_epochs that no binary fraction equals: its last step must still count.
    return std::pow(options.gamma, std::floor(double(at.step) / (options.every_epochs * double(at.steps_per_epoch)) + 1e-9));
  });
}

double lr_factor(const MultistepSchedule& options, const Moment& moment) {
  return warmed_up(options, moment, [&](const Moment& at, int64_t) {
    const auto passed = std::count_if(options.milestones.begin(), options.milestones.end(),
                                      [&](double epoch) { return at.step >= steps_in(epoch, at); });
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
    const double start = 1 / options.div_factor, end = start / options.final_div_factor;
    const double top = options.pct_start * steps - 1;  // the step at the maximum, not always whole
    const bool rising = step <= top && top > 0;
    const double span = rising ? top : steps - 1 - top;
    const double t = span > 0 ? (rising ? step : step - top) / span : 1;
    const double weight = options.anneal == "cos" ? half_cosine(t) : 1 - t;
    return rising ? 1 + (start - 1) * weight : end + (1 - end) * weight;
  });
}

}  // namespace az::optim
