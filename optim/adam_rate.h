#pragma once

#include "optim/optimizer.h"

namespace az::optim {

// adam_rate() returns the rate and the norm power of a step of Adam's kind. They are lr and 1 where eps is negligible, as m /
// sqrt(v) does not depend on the gradient's scale; they are lr / eps and 2 where eps is all that counts beside it. Between the
// two (eps makes 1 to 99 % of what the norm does), and with a decay inside v that is not negligible (`coupled` ||w|| against
// the root of all v), no power describes the step: they are NaN. `state` holds m and v after the step.
struct AdamRate {
  double lr, beta2, eps, coupled = 0;
};
EffectiveRate adam_rate(const AdamRate& adam, const Parameter& parameter, const ParameterState& state);

}  // namespace az::optim
