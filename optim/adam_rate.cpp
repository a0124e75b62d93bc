#include "optim/adam_rate.h"

#include <cmath>

#include "optim/loops.h"
#include "optim/norm_control.h"

namespace az::optim {
namespace {

// Sums over the elements of a step d = m / (root sqrt(v) + eps).
struct StepSums {
  double v = 0, dd = 0, by_eps = 0;  // of v, d^2, and d^2 eps / (root sqrt(v) + eps)
  void operator+=(const StepSums& other) { v += other.v, dd += other.dd, by_eps += other.by_eps; }
};

}  // namespace

// ||d|| / ||w|| falls with ||w|| to the power of 1 + by_eps / dd, m and sqrt(v) being as 1 / ||w||.
EffectiveRate adam_rate(const AdamRate& adam, const Parameter& parameter, const ParameterState& state) {
  const double root = 1 / std::sqrt(1 - std::pow(adam.beta2, double(state.step)));
  const StepSums sums = with_type(parameter.tensor.dtype(), [&](auto zero) {
    const auto *m = state.tensors[0].data<decltype(zero)>(), *v = state.tensors[1].data<decltype(zero)>();
    return sum_over<StepSums>(parameter.tensor.numel(), [&](int64_t begin, int64_t length) {
      StepSums part;
      for (int64_t i = begin; i < begin + length; ++i) {
        if (m[i] == 0) continue;
        const double divisor = root * std::sqrt(double(v[i])) + adam.eps, d = double(m[i]) / divisor;
        part += {.v = double(v[i]), .dd = d * d, .by_eps = d * d * (adam.eps / divisor)};
      }
      return part;
    });
  });
  const double share = sums.by_eps / sums.dd;
  if (share > 1 - negligible) return {.rate = adam.lr / adam.eps, .norm_power = 2};
  const bool decays = adam.coupled > 0 && !(adam.coupled * norm_of(parameter.tensor) < negligible * root * std::sqrt(sums.v));
  return share < negligible && !decays ? EffectiveRate{.rate = adam.lr, .norm_power = 1} : EffectiveRate{};
}

}  // namespace az::optim
