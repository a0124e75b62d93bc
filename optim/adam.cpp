#include "optim/adam.h"

#include "optim/equilibrium.h"
#include "optim/loops.h"
#include "optim/norm_control.h"

namespace az::optim {
namespace {

struct Coefficients {
  double stay;                // 0: only the step is left
  double lr, coupled, decay;  // lr is bias-corrected; decay is the raw lr * weight_decay
  double beta1, beta2, root, eps;
};

template <class T> [[gnu::always_inline]] inline void move(const Coefficients& c, const Row<T>& row) {
  const auto [n, p, gradient, m, v] = row;
  const T stay = T(c.stay), lr = T(c.lr), coupled = T(c.coupled), decay = T(c.decay), eps = T(c.eps), root = T(c.root);
  const T keep1 = T(c.beta1), take1 = T(1 - c.beta1), keep2 = T(c.beta2), take2 = T(1 - c.beta2);
  for (int64_t i = 0; i < n; ++i) {
    const T g = gradient[i] + coupled * p[i];
    m[i] = keep1 * m[i] + take1 * g;
    v[i] = keep2 * v[i] + take2 * g * g;
    p[i] = stay * p[i] - (lr * (m[i] / (std::sqrt(v[i]) * root + eps)) + decay * p[i]);
  }
}

AZ_MULTIVERSION void move_row(const Coefficients& c, const Row<float>& row) { move(c, row); }
AZ_MULTIVERSION void move_row(const Coefficients& c, const Row<double>& row) { move(c, row); }

// `coupled` enters the gradient times the weight; `decay` shrinks the weight.
struct Decay {
  double coupled = 0, decay = 0;
};

template <class Options> UpdateInfo adam(const Options& options, const Group& group, Decay decay, const Parameter& parameter,
                                         const Tensor& gradient, const ParameterState& state) {
  const double beta1 = options.betas[0], beta2 = options.betas[1], t = double(state.step);
  const Coefficients c{.stay = group.step_only ? 0.0 : 1.0,
                       .lr = group.lr / (1 - std::pow(beta1, t)),
                       .coupled = decay.coupled,
                       .decay = decay.decay,
                       .beta1 = beta1,
                       .beta2 = beta2,
                       .root = 1 / std::sqrt(1 - std::pow(beta2, t)),
                       .eps = options.eps};
  with_type(gradient.dtype(), [&](auto zero) {
    const auto all = whole<decltype(zero)>(parameter, gradient, state);
    for_chunks(all.n, [&](int64_t begin, int64_t length) { move_row(c, all.part(begin, length)); });
  });
  return {.step_only = group.step_only};
}

// Over the elements of a step d = m / (root sqrt(v) + eps).
struct StepSums {
  double v = 0, dd = 0, by_eps = 0;  // of v, d^2, and d^2 eps / (root sqrt(v) + eps)
  void operator+=(const StepSums& other) { v += other.v, dd += other.dd, by_eps += other.by_eps; }
};

}  // namespace

// ||d|| / ||w|| falls with ||w|| to the power of 1 + by_eps / dd, m and sqrt(v) being as 1 / ||w||.
EffectiveRate effective_rate(const AdamRate& adam, const Parameter& parameter, const ParameterState& state) {
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

Adam::Adam(std::vector<Parameter> parameters, const AdamOptions& options)
    : Optimizer("adam", std::move(parameters), options, {"exp_avg", "exp_avg_sq"}), options_(options) {}

UpdateInfo Adam::update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) {
  return adam(options_, group, {.coupled = group.weight_decay}, parameter, gradient, state);
}

EffectiveRate Adam::effective_rate(const Parameter& parameter, const Group& group, const ParameterState& state) const {
  const AdamRate rate{.lr = group.lr, .beta2 = options_.betas[1], .eps = options_.eps, .coupled = group.weight_decay};
  return optim::effective_rate(rate, parameter, state);
}

AdamW::AdamW(std::vector<Parameter> parameters, const AdamWOptions& options)
    : Optimizer("adamw", std::move(parameters), options, {"exp_avg", "exp_avg_sq"}), options_(options) {}

UpdateInfo AdamW::update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) {
  return adam(options_, group, {.decay = group.lr * group.weight_decay}, parameter, gradient, state);
}

EffectiveRate AdamW::effective_rate(const Parameter& parameter, const Group& group, const ParameterState& state) const {
  const AdamRate rate{.lr = group.lr, .beta2 = options_.betas[1], .eps = options_.eps, .coupled = 0};
  return optim::effective_rate(rate, parameter, state);
}

double AdamW::equilibrium_angle(const Group& group, const UpdateInfo&) const {
  return momentum_equilibrium(group.lr * group.weight_decay, options_.betas[0], false);
}

}  // namespace az::optim
