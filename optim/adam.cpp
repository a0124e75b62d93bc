#include "optim/adam.h"

#include "optim/equilibrium.h"
#include "optim/loops.h"

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

}  // namespace

Adam::Adam(std::vector<Parameter> parameters, const AdamOptions& options)
    : Optimizer("adam", std::move(parameters), options, {"exp_avg", "exp_avg_sq"}), options_(options) {}

UpdateInfo Adam::update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) {
  return adam(options_, group, {.coupled = group.weight_decay}, parameter, gradient, state);
}

AdamW::AdamW(std::vector<Parameter> parameters, const AdamWOptions& options)
    : Optimizer("adamw", std::move(parameters), options, {"exp_avg", "exp_avg_sq"}), options_(options) {}

UpdateInfo AdamW::update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) {
  return adam(options_, group, {.decay = group.lr * group.weight_decay}, parameter, gradient, state);
}

double AdamW::equilibrium_angle(const Group& group, const UpdateInfo&) const {
  return momentum_equilibrium(group.lr * group.weight_decay, options_.betas[0], false);
}

}  // namespace az::optim
