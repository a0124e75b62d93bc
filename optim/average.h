#pragma once

#include <map>
#include <string>

#include "core/config/options.h"
#include "core/tensor/tensor.h"
#include "optim/norm_identity.h"
#include "optim/schedule.h"

namespace az::optim {

// Every average takes, at each `every`-th step: average = d average + (1 - d) weight, d = decay (step / total steps)^power.
template <class O> void average_fields(auto& f) {
  f("decay", &O::decay, "share of the average that is kept where the weights enter it", config::at_least(0),
    config::less_than(1));
  f("every", &O::every, "steps from one time that they do to the next", config::at_least(1));
  f("power", &O::power, "decay grows with (share of the steps done)^power; 0: it is the same throughout", config::at_least(0));
}

// An exponential moving average beside the weights, as torch's AveragedModel with get_ema_avg_fn(decay).
struct EmaOptions {
  double decay = 0.999;
  int64_t every = 1;
  double power = 0;
  static void fields(auto& f) { average_fields<EmaOptions>(f); }
};

// The weights go on from the average each time: Zhang et al., "Lookahead optimizer: k steps forward, 1 step back", 2019, with
// k = every and alpha = 1 - decay.
struct LookaheadOptions {
  double decay = 0.5;
  int64_t every = 5;
  double power = 0;
  static void fields(auto& f) { average_fields<LookaheadOptions>(f); }
};

// An average of a network's weights over the steps of its training, statistics of normalisation layers among them.
class WeightAverage {
 public:
  using Tensors = std::map<std::string, Tensor>;

  // Follows the floating tensors of `weights`, from their values as of now.
  WeightAverage(const EmaOptions& options, const Tensors& weights);
  WeightAverage(const LookaheadOptions& options, const Tensors& weights);

  // What is odd about it in a training of that length, each as "option: sentence".
  std::vector<std::string> examine(const Length& length) const;
  // Says whether the decay depends on the length of the training.
  bool follows_length() const { return power_ > 0; }
  // Says whether the weights go on from the average.
  bool moves_weights() const { return write_back_; }
  // Has to be called after each step; `moment` is the step's.
  void update(const Moment& moment);
  // Exchanges weights and averages, in place.
  void swap();

  // The averages by name, sharing memory.
  const Tensors& state() const { return averages_; }
  // Copies values in. Throws unless names and shapes are those of state().
  void load_state(const Tensors& state);

 private:
  template <class Options> WeightAverage(const Options& options, bool write_back, const Tensors& weights);

  double decay_;
  int64_t every_;
  double power_;
  bool write_back_;
  Tensors weights_, averages_;
};

// What a training does beside its optimizer's steps.
struct BesideSteps {
  const WeightAverage* average = nullptr;
  bool clips_values = false;  // clip_grad_value()
};
class Optimizer;
// The optimizer's norm rule, or none where `beside` breaks it.
NormRule norm_rule(const Optimizer& optimizer, const BesideSteps& beside);

// Has the weights be their average for as long as it lives; nullptr: does nothing.
class Averaged {
 public:
  explicit Averaged(WeightAverage* average) : average_(average) {
    if (average_) average_->swap();
  }
  ~Averaged() {
    if (average_) average_->swap();
  }
  Averaged(const Averaged&) = delete;

 private:
  WeightAverage* average_;
};

}  // namespace az::optim
