#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "core/config/made.h"
#include "core/config/options.h"

// The factor on the learning rate, step by step. Everything here is a pure function of where training stands.
namespace az::optim {

// The step about to be taken (from 0), out of how many (by default it never ends), and how many make an epoch.
struct Moment {
  int64_t step = 0;
  int64_t total_steps = std::numeric_limits<int64_t>::max();
  int64_t steps_per_epoch = 1;
};

// How long a training is: the steps that it takes, and those that it would take were it not cut short.
struct Length {
  int64_t steps = 1;
  int64_t planned_steps = 1;
  int64_t steps_per_epoch = 1;

  double epochs() const { return double(steps) / double(steps_per_epoch); }
  Moment moment(int64_t step) const { return {.step = step, .total_steps = steps, .steps_per_epoch = steps_per_epoch}; }
};

// The factor at each moment of a training; any function of a Moment is one.
class Schedule : public config::Made {
 public:
  using Factor = std::function<double(const Moment&)>;
  using Examine = std::function<std::vector<std::string>(const Length&)>;

  Schedule(std::nullptr_t = nullptr) {}
  template <std::invocable<const Moment&> F> Schedule(F factor) : factor_(std::move(factor)) {}
  Schedule(Factor factor, Examine examine) : factor_(std::move(factor)), examine_(std::move(examine)) {}

  friend bool operator==(const Schedule& schedule, std::nullptr_t) { return !schedule.factor_; }
  double operator()(const Moment& moment) const { return factor_(moment); }
  // What is odd about it in a training of that length, each as "option: sentence". Throws Invalid for what cannot be meant.
  std::vector<std::string> examine(const Length& length) const {
    return examine_ ? examine_(length) : std::vector<std::string>();
  }

 private:
  Factor factor_;
  Examine examine_;
};

// Every schedule warms up first: over W = warmup_epochs (fractions allowed) + warmup_steps, the factor is (step + 1) / W times
// its value at step W. A W that leaves nothing of the training counts as half of it. Then cosine, polynomial, exponential and
// the way down of one_cycle run over what remains; the epochs of step and multistep count from the start of training.
template <class O> void warmup_fields(auto& f) {
  f("warmup_epochs", &O::warmup_epochs, "epochs of linear warm-up; half of the training where they would leave nothing of it",
    config::at_least(0));
  f("warmup_steps", &O::warmup_steps, "steps of linear warm-up, on top of those epochs", config::at_least(0));
}

struct ConstantSchedule {
  double warmup_epochs = 0;
  int64_t warmup_steps = 0;
  static void fields(auto& f) { warmup_fields<ConstantSchedule>(f); }
};

// gamma^floor(epoch / every_epochs), as torch's StepLR.
struct StepSchedule {
  double every_epochs = 30;
  double gamma = 0.1;
  double warmup_epochs = 0;
  int64_t warmup_steps = 0;
  static void fields(auto& f) {
    f("every_epochs", &StepSchedule::every_epochs, "epochs between two drops", config::more_than(0));
    f("gamma", &StepSchedule::gamma, "factor of each drop", config::more_than(0));
    warmup_fields<StepSchedule>(f);
  }
};

// gamma^(milestones passed), as torch's MultiStepLR.
struct MultistepSchedule {
  std::vector<double> milestones = {};  // required
  double gamma = 0.1;
  double warmup_epochs = 0;
  int64_t warmup_steps = 0;
  static void fields(auto& f) {
    f("milestones", &MultistepSchedule::milestones, "epochs after which the rate drops", config::required(),
      config::at_least(0));
    f("gamma", &MultistepSchedule::gamma, "factor of each drop", config::more_than(0));
    warmup_fields<MultistepSchedule>(f);
  }
};

// min_factor + (1 - min_factor) (1 + cos(pi t)) / 2, t = share of the steps done, as torch's CosineAnnealingLR.
struct CosineSchedule {
  double min_factor = 0;
  double warmup_epochs = 0;
  int64_t warmup_steps = 0;
  static void fields(auto& f) {
    f("min_factor", &CosineSchedule::min_factor, "factor approached at the end", config::at_least(0), config::at_most(1));
    warmup_fields<CosineSchedule>(f);
  }
};

// (1 - t)^power, t = share of the steps done, as torch's PolynomialLR.
struct PolynomialSchedule {
  double power = 1;
  double warmup_epochs = 0;
  int64_t warmup_steps = 0;
  static void fields(auto& f) {
    f("power", &PolynomialSchedule::power, "1 falls in a straight line, more falls earlier", config::more_than(0));
    warmup_fields<PolynomialSchedule>(f);
  }
};

// gamma^epoch, epochs in fractions: at whole epochs as torch's ExponentialLR.
struct ExponentialSchedule {
  double gamma = 0.97;
  double warmup_epochs = 0;
  int64_t warmup_steps = 0;
  static void fields(auto& f) {
    f("gamma", &ExponentialSchedule::gamma, "factor of one epoch", config::more_than(0));
    warmup_fields<ExponentialSchedule>(f);
  }
};

// The factor rises from 1 / div_factor to 1 in the first pct_start of the steps, or by the warm-up if there is one, then falls
// to 1 / (div_factor final_div_factor) at the last, as in torch's OneCycleLR without its momentum cycle. One step has the
// factor 1.
struct OneCycleSchedule {
  double pct_start = 0.3;
  std::string anneal = "cos";
  double div_factor = 25;
  double final_div_factor = 1e4;
  double warmup_epochs = 0;
  int64_t warmup_steps = 0;
  static void fields(auto& f) {
    f("pct_start", &OneCycleSchedule::pct_start, "share of the steps that rise", config::at_least(0), config::at_most(1));
    f("anneal", &OneCycleSchedule::anneal, "shape of both slopes", config::one_of({"cos", "linear"}));
    f("div_factor", &OneCycleSchedule::div_factor, "lr over the first rate", config::more_than(0));
    f("final_div_factor", &OneCycleSchedule::final_div_factor, "first rate over the last", config::more_than(0));
    warmup_fields<OneCycleSchedule>(f);
  }
};

// The factor at that moment. Throws unless 0 <= step and steps_per_epoch >= 1.
double lr_factor(const ConstantSchedule& options, const Moment& moment);
double lr_factor(const StepSchedule& options, const Moment& moment);
double lr_factor(const MultistepSchedule& options, const Moment& moment);
double lr_factor(const CosineSchedule& options, const Moment& moment);
double lr_factor(const PolynomialSchedule& options, const Moment& moment);
double lr_factor(const ExponentialSchedule& options, const Moment& moment);
double lr_factor(const OneCycleSchedule& options, const Moment& moment);

// These say what Schedule::examine() says, for each kind of schedule.
std::vector<std::string> oddities(const ConstantSchedule& options, const Length& length);
std::vector<std::string> oddities(const StepSchedule& options, const Length& length);
std::vector<std::string> oddities(const MultistepSchedule& options, const Length& length);
std::vector<std::string> oddities(const CosineSchedule& options, const Length& length);
std::vector<std::string> oddities(const PolynomialSchedule& options, const Length& length);
std::vector<std::string> oddities(const ExponentialSchedule& options, const Length& length);
std::vector<std::string> oddities(const OneCycleSchedule& options, const Length& length);

}  // namespace az::optim
