#pragma once

#include <optional>
#include <set>
#include <string>

#include "experiments/probes/probe.h"

namespace az::experiments {

struct ScaleInvarianceOptions {
  int64_t every = 50;
  std::optional<std::string> parameters = {};

  static void fields(auto& f) {
    f("every", &ScaleInvarianceOptions::every, "steps from one that it watches to the next; the first is always watched",
      config::at_least(1));
    f("parameters", &ScaleInvarianceOptions::parameters,
      "which to watch, by name, with * and ?; null: all of more than one dimension");
  }
};

// What a step did to the direction and the length of each weight w, a line a parameter. With g the gradient as the optimizer
// got it, d = w' - w the step, D the length of a row (an output channel) and n that of the whole:
// - norm, gradient_norm: ||w||, ||g||.
// - scaled_cosine: |cos(w, g)| sqrt(n), as SGDP and AdamP hold it against delta: ||w|| ||g|| counts for their eps at least, or
//   for 1e-8 with other optimizers.
// - scaled_channel_cosine_max, scaled_channel_cosine_mean: |cos(w_i, g_i)| sqrt(D) over the rows i.
// - effective_lr: what turns the weight's direction, rate / ||w||^norm_power: lr / ||w||^2 with SGD and SGDP, lr / ||w|| with
// Adam,
//   AdamW and AdamP, lr trust_ratio under a trust ratio (UpdateInfo::effective), lr being the parameter's own. It is the
//   optimizer that says so; null, both, where it says nothing. That the gradient was clipped counts for nothing.
// - effective_step, angle: ||w'/||w'|| - w/||w|| ||, and the radians from w to w'.
// - equilibrium_angle: what the angle settles at (UpdateInfo) by the optimizer's steps alone, that is without lookahead;
//   null where that is not known.
// - radial, tangential: <d, w>/||w||, and the norm of the rest of d.
// - projected: "channel", "layer" or "none".
// Sums are in double. A weight of zeros has no direction: what is said of its step or angle is null, as what is not finite is.
class ScaleInvariance : public Probe {
 public:
  // Throws ConfigError when the pattern selects nothing, or only frozen parameters are left to watch.
  ScaleInvariance(const ScaleInvarianceOptions& options, const std::vector<Parameter>& parameters);

  void before(const Parameter& parameter, const Tensor& gradient) override;
  void after(const Parameter& parameter, const Tensor& gradient, const optim::UpdateInfo& info) override;
  void report(const Write& write) override;

 private:
  std::set<std::string> watched_;
  Tensor weight_;  // of the parameter being moved, from before
  std::vector<MetricFields> lines_;
};

}  // namespace az::experiments
