#include "optim/adam.h"

#include "optim/adam_rate.h"
#include "optim/equilibrium.h"
#include "optim/rule.h"

namespace az::optim {
namespace {

// One element of a weight w at its t-th step, with gradient g and moments m and v. Adam's decay is coupled, AdamW's decoupled.
struct Rule {
  Coefficient t, eta, beta1, beta2, eps, coupled, decoupled;
  Coefficient eta_t = eta / (1 - pow(beta1, t)), unbias = 1 / sqrt(1 - pow(beta2, t));

  template <class T> T operator()(T w, T g, T& m, T& v) const {
    g += coupled * w;
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    return eta_t * (m / (unbias * std::sqrt(v) + eps)) + eta * decoupled * w;
  }
};

struct Decay {
  double coupled = 0, decoupled = 0;
};

UpdateInfo adam(const auto& options, Decay decay, const Parameter& parameter, const Tensor& gradient, const Group& group,
                const ParameterState& state) {
  const Rule rule{.t = double(state.step),
                  .eta = group.lr,
                  .beta1 = options.betas[0],
                  .beta2 = options.betas[1],
                  .eps = options.eps,
                  .coupled = decay.coupled,
                  .decoupled = decay.decoupled};
  return update_elements(rule, group, parameter.tensor, gradient, state.tensors[0], state.tensors[1]);
}

}  // namespace

Adam::Adam(std::vector<Parameter> parameters, const AdamOptions& options)
    : Optimizer("adam", std::move(parameters), options, {"exp_avg", "exp_avg_sq"}), options_(options) {}

UpdateInfo Adam::update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) {
  return adam(options_, {.coupled = group.weight_decay}, parameter, gradient, group, state);
}

EffectiveRate Adam::effective_rate(const Parameter& parameter, const Group& group, const ParameterState& state) const {
  return adam_rate({.lr = group.lr, .beta2 = options_.betas[1], .eps = options_.eps, .coupled = group.weight_decay}, parameter,
                   state);
}

AdamW::AdamW(std::vector<Parameter> parameters, const AdamWOptions& options)
    : Optimizer("adamw", std::move(parameters), options, {"exp_avg", "exp_avg_sq"}), options_(options) {}

UpdateInfo AdamW::update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) {
  return adam(options_, {.decoupled = group.weight_decay}, parameter, gradient, group, state);
}

EffectiveRate AdamW::effective_rate(const Parameter& parameter, const Group& group, const ParameterState& state) const {
  return adam_rate({.lr = group.lr, .beta2 = options_.betas[1], .eps = options_.eps}, parameter, state);
}

double AdamW::equilibrium_angle(const Group& group, const UpdateInfo&) const {
  return momentum_equilibrium(group.lr * group.weight_decay, options_.betas[0], false);
}

}  // namespace az::optim
