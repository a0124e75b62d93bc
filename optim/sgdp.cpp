#include "optim/sgdp.h"

#include "optim/equilibrium.h"

namespace az::optim {
namespace {

// One element of a weight w with gradient g and momentum buf, in the three parts of update_rows().
struct Rule {
  Coefficient eta, lambda, mu, tau;
  Coefficient nesterov, nu;  // 1 and mu for Nesterov's d = g + mu buf; 0 and 1 for d = buf

  template <class T> void remember(T g, T& buf) const { buf = mu * buf + (1 - tau) * g; }
  template <class T> T direction(T g, T buf) const { return nesterov * g + nu * buf; }
  template <class T> T step(T w, T d, T dot, T w_hat, Coefficient ratio) const {
    return eta * (d - dot * w_hat) + eta * lambda / (1 - mu) * ratio * w;
  }
};

}  // namespace

Sgdp::Sgdp(std::vector<Parameter> parameters, const SgdpOptions& options)
    : Optimizer("sgdp", std::move(parameters), options, {"momentum"}), options_(options) {}

std::vector<std::string> Sgdp::examine() const {
  const double momentum = options_.momentum, dampening = options_.dampening;
  const bool nesterov = options_.nesterov;
  std::vector<std::string> result = idle_projection_options(options_);
  if (momentum == 0 && nesterov)
    result.push_back(dampening == 0 ? "nesterov: has no effect without momentum"
                                    : "nesterov: without momentum it only takes back the dampening");
  if (momentum == 0 && dampening != 0 && !nesterov)
    result.push_back(fmt::format("dampening: without momentum it only makes each move {} as long", 1 - dampening));
  if (!options_.project_momentum && (momentum == 0 || nesterov))
    result.push_back(fmt::format("project_momentum: has no effect {}", nesterov ? "with nesterov" : "without momentum"));
  return result;
}

UpdateInfo Sgdp::update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) {
  const Tensor& buf = state.tensors[0];
  const bool nesterov = options_.nesterov;
  const Rule rule{.eta = group.lr,
                  .lambda = group.weight_decay,
                  .mu = options_.momentum,
                  .tau = options_.dampening,
                  .nesterov = nesterov ? 1.0 : 0.0,
                  .nu = nesterov ? options_.momentum : 1};
  const ProjectionOptions projection{.delta = options_.delta,
                                     .wd_ratio = options_.wd_ratio,
                                     .eps = options_.eps,
                                     .when = options_.projection,
                                     .stored = options_.project_momentum && !nesterov ? &buf : nullptr};
  return update_rows(rule, projection, group, parameter.tensor, gradient, buf);
}

double Sgdp::equilibrium_angle(const Group& group, const UpdateInfo& info) const {
  const double shrink = group.lr * group.weight_decay * info.decay_ratio / (1 - options_.momentum);
  if (info.view != View::none) return projected_equilibrium(shrink);
  if (options_.nesterov && options_.dampening != 0) return NAN;
  return momentum_equilibrium(shrink, options_.momentum, options_.nesterov);
}

std::optional<NormRule> Sgdp::own_norm_rule() const { return projected_norm_rule("sgdp", options_.projection); }

}  // namespace az::optim
