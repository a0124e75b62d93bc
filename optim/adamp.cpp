#include "optim/adamp.h"

#include "optim/adam_rate.h"
#include "optim/equilibrium.h"

namespace az::optim {
namespace {

// One element of a weight w at its t-th step, with gradient g and moments m and v, in the three parts of update_rows().
struct Rule {
  Coefficient t, eta, lambda, beta1, beta2, eps;
  Coefficient nesterov, nu;  // 1 - beta1 and beta1 for Nesterov's m; otherwise 0 and 1
  Coefficient eta_t = eta / (1 - pow(beta1, t)), unbias = 1 / sqrt(1 - pow(beta2, t));

  template <class T> void remember(T g, T& m, T& v) const {
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
  }
  template <class T> T direction(T g, T m, T v) const { return (nu * m + nesterov * g) / (unbias * std::sqrt(v) + eps); }
  template <class T> T step(T w, T d, T dot, T w_hat, Coefficient ratio) const {
    return eta_t * (d - dot * w_hat) + eta * lambda * ratio * w;
  }
};

}  // namespace

Adamp::Adamp(std::vector<Parameter> parameters, const AdampOptions& options)
    : Optimizer("adamp", std::move(parameters), options, {"exp_avg", "exp_avg_sq"}), options_(options) {}

std::vector<std::string> Adamp::examine() const {
  std::vector<std::string> result = idle_projection_options(options_);
  if (options_.nesterov && options_.betas[0] == 0)
    result.push_back("nesterov: has no effect where the first of the betas is 0");
  return result;
}

UpdateInfo Adamp::update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) {
  const double beta1 = options_.betas[0], beta2 = options_.betas[1];
  const Rule rule{.t = double(state.step),
                  .eta = group.lr,
                  .lambda = group.weight_decay,
                  .beta1 = beta1,
                  .beta2 = beta2,
                  .eps = options_.eps,
                  .nesterov = options_.nesterov ? 1 - beta1 : 0,
                  .nu = options_.nesterov ? beta1 : 1};
  const ProjectionOptions projection{
      .delta = options_.delta, .wd_ratio = options_.wd_ratio, .eps = options_.eps, .when = options_.projection};
  return update_rows(rule, projection, group, parameter.tensor, gradient, state.tensors[0], state.tensors[1]);
}

EffectiveRate Adamp::effective_rate(const Parameter& parameter, const Group& group, const ParameterState& state) const {
  return adam_rate({.lr = group.lr, .beta2 = options_.betas[1], .eps = options_.eps}, parameter, state);
}

double Adamp::equilibrium_angle(const Group& group, const UpdateInfo& info) const {
  const double shrink = group.lr * group.weight_decay * info.decay_ratio;
  if (info.view != View::none) return projected_equilibrium(shrink);
  return momentum_equilibrium(shrink, options_.betas[0], options_.nesterov);
}

std::optional<NormRule> Adamp::own_norm_rule() const { return projected_norm_rule("adamp", options_.projection); }

}  // namespace az::optim
