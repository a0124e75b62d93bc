#include "optim/sgd.h"

#include "optim/equilibrium.h"
#include "optim/rule.h"

namespace az::optim {
namespace {

// One element of a weight w with gradient g and momentum buf. Decay is coupled or decoupled; the other is 0.
struct Rule {
  Coefficient eta, mu, tau, coupled, decoupled;
  Coefficient nesterov, nu;  // 1 and mu for Nesterov's d = g + mu buf; 0 and 1 for d = buf

  template <class T> T operator()(T w, T g) const {
    g += coupled * w;
    return eta * g + eta * decoupled * w;
  }
  template <class T> T operator()(T w, T g, T& buf) const {
    g += coupled * w;
    buf = mu * buf + (1 - tau) * g;
    return eta * (nesterov * g + nu * buf) + eta * decoupled * w;
  }
};

}  // namespace

Sgd::Sgd(std::vector<Parameter> parameters, const SgdOptions& options)
    : Optimizer("sgd", std::move(parameters), options,
                options.momentum > 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{}),
      options_(options) {}

std::vector<std::string> Sgd::examine() const {
  if (options_.momentum > 0 || options_.dampening == 0) return {};
  return {"dampening: has no effect without momentum"};
}

UpdateInfo Sgd::update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) {
  const bool nesterov = options_.nesterov, decoupled = options_.decoupled;
  const Rule rule{.eta = group.lr,
                  .mu = options_.momentum,
                  .tau = state.step == 1 ? 0 : options_.dampening,
                  .coupled = decoupled ? 0 : group.weight_decay,
                  .decoupled = decoupled ? group.weight_decay : 0,
                  .nesterov = nesterov ? 1.0 : 0.0,
                  .nu = nesterov ? options_.momentum : 1};
  if (state.tensors.empty()) return update_elements(rule, group, parameter.tensor, gradient);
  return update_elements(rule, group, parameter.tensor, gradient, state.tensors[0]);
}

double Sgd::equilibrium_angle(const Group& group, const UpdateInfo&) const {
  const double decay = group.lr * group.weight_decay;
  const double shrink =
      options_.decoupled || options_.momentum == 0 ? decay : decay * (1 - options_.dampening) / (1 - options_.momentum);
  return momentum_equilibrium(shrink, options_.momentum, options_.nesterov);
}

std::optional<NormRule> Sgd::own_norm_rule() const {
  if (options_.nesterov) return NormRule{{}, "no prediction: the identity is of plain momentum, and this is Nesterov's"};
  return NormRule{options_.momentum, "momentum: a step adds its squared length at once, and 2 beta^k times that k steps later"};
}

}  // namespace az::optim
