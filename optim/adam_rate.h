#pragma once

#include "optim/optimizer.h"

namespace az::optim {

// Of a step of Adam's kind: lr and 1, as m / sqrt(v) does not depend on the gradient's scale; lr / eps and 2 where eps is all
// that counts beside it. No power describes what is between the two (eps making 1 to 99 % of what the norm does), or a decay
// inside v that is not negligible (`coupled` ||w|| against the root of all v). `state` holds m and v after the step.
struct AdamRate {
  double lr, beta2, eps, coupled = 0;
};
EffectiveRate adam_rate(const AdamRate& adam, const Parameter& parameter, const ParameterState& state);

}  // namespace az::optim
