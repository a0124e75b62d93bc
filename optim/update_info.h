#pragma once

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor/parameter.h"

// What an optimizer says of its updates, and to whom.
namespace az::optim {

enum class View { none, channel, layer };  // of a weight: one row an output channel, or one row in all

// "none", "channel" or "layer"
const char* name_of(View view);

// A step turns the direction of a scale-invariant weight w by an angle that goes, at other norms of w, as rate /
// ||w||^norm_power: lr and 2 where steps are linear in the gradient, lr and 1 where they do not depend on its scale. NaN:
// nothing is known, or it goes by no such power.
struct EffectiveRate {
  double rate = NAN, norm_power = NAN;
};
// What makes less than this share of a step, or of its square, is left out in judging that.
constexpr double negligible = 0.01;

// What one update did.
struct UpdateInfo {
  View view = View::none;       // the view the projection fired in
  double channel_cosine = NAN;  // largest |cos(gradient, weight)| of a row in the channel view; NaN when not looked at
  double layer_cosine = NAN;    // and in the layer view
  double eps = 1e-8;            // which the denominator of the cosines is at least
  double decay_ratio = 1;       // factor on weight decay
  double lr = 0;                // of this parameter
  double weight_decay = 0;      // likewise
  int64_t updates = 0;          // of this parameter so far, this one included
  bool step_only = false;       // the update did as Group::step_only asked
  // Radians a step that a scale-invariant weight's direction turns once its norm has settled, if all steps are as this one
  // (equilibrium.h); NaN where it does not settle or nothing is known.
  double equilibrium_angle = NAN;
  // The effective rate, and what follows, are filled in for a step that is watched.
  EffectiveRate effective = {};
  // What the optimizer keeps of the parameter now, the tensors themselves, by the names of its slots ("momentum").
  std::vector<std::pair<std::string, Tensor>> state = {};
};

// Watches a step, parameter by parameter.
struct StepObserver {
  virtual ~StepObserver() = default;
  virtual void before(const Parameter&, const Tensor& /*gradient*/) {}
  virtual void after(const Parameter&, const Tensor& /*gradient*/, const UpdateInfo&) {}
};

}  // namespace az::optim
