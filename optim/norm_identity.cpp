#include "optim/norm_identity.h"

#include <algorithm>

#include "optim/average.h"
#include "optim/optimizer.h"

namespace az::optim {

NormRule Optimizer::norm_rule() const {
  const auto own_of = [](const Optimizer& of) {
    return of.located([&] { return placed([&] { return of.name_ + ": own_norm_rule"; }, [&] { return of.own_norm_rule(); }); });
  };
  const std::optional<NormRule> own = own_of(*this);
  if (!own) return {{}, "no prediction: the identity is of momentum, and this is " + name_};
  for (const auto& [group, other] : others_) {
    const std::optional<NormRule> rule = own_of(*other);
    if (!rule || rule->beta != own->beta || rule->by_gradients != own->by_gradients)
      return {{}, fmt::format("no prediction: one is of all weights, and {} moves some in its own way", other->name_)};
  }
  const auto is_held = [](const Group& group) {
    return !group.frozen && (group.weight_decay > 0 || group.trust_ratio > 0 || group.renormalize_every > 0);
  };
  if (std::any_of(groups_.begin(), groups_.end(), is_held))
    return {{}, "no prediction: the identity is of steps without weight decay, trust ratios or renormalizing"};
  return *own;
}

NormRule norm_rule(const Optimizer& optimizer, const BesideSteps& beside) {
  const NormRule rule = optimizer.norm_rule();
  if (rule.beta && beside.average && beside.average->moves_weights())
    return {{}, "no prediction, as lookahead moves the weights after a step"};
  // That clip_grad_norm() makes all of a gradient shorter leaves its direction.
  if (rule.beta && beside.clips_values && rule.by_gradients)
    return {{}, "no prediction: a gradient that is clipped by value is not orthogonal to the weight"};
  return rule;
}

}  // namespace az::optim
