#include "optim/adamp.h"

#include "optim/equilibrium.h"

namespace az::optim {
namespace {

struct Coefficients {
  double stay;       // 0: only the step is left
  double lr, decay;  // lr is bias-corrected; decay is the raw lr * weight_decay
  double beta1, beta2;
  double along, ahead;  // d = (along m + ahead g) / (root sqrt(v) + eps)
  double root, eps;
};

template <class T> [[gnu::always_inline]] inline T direction(const Coefficients& c, T g, T m, T v) {
  return (T(c.along) * m + T(c.ahead) * g) / (std::sqrt(v) * T(c.root) + T(c.eps));
}

template <class T> [[gnu::always_inline]] inline RowSums direct(const Coefficients& c, const Row<T>& row) {
  const T keep1 = T(c.beta1), take1 = T(1 - c.beta1), keep2 = T(c.beta2), take2 = T(1 - c.beta2);
  return direct_row(
      row, [&](const Row<T>& part, T* d) __attribute__((always_inline)) {
        const auto [n, p, g, m, v] = part;
        for (int64_t i = 0; i < n; ++i) {
          m[i] = keep1 * m[i] + take1 * g[i];
          v[i] = keep2 * v[i] + take2 * g[i] * g[i];
          d[i] = direction(c, g[i], m[i], v[i]);
        }
      });
}

template <class T> [[gnu::always_inline]] inline void move(const Coefficients& c, const Row<T>& row, Removal removal) {
  const auto [n, p, g, m, v] = row;
  const T stay = T(c.stay), lr = T(c.lr), decay = T(c.decay * removal.decay_ratio);
  const T along = T(removal.along), per_norm = T(removal.per_norm);
  for (int64_t i = 0; i < n; ++i)
    p[i] = stay * p[i] - (lr * (direction(c, g[i], m[i], v[i]) - along * (per_norm * p[i])) + decay * p[i]);
}

// Coefficients by value: written f64 weights could alias a reference.
AZ_MULTIVERSION RowSums direct_any(Coefficients c, const Row<float>& row) { return direct(c, row); }
AZ_MULTIVERSION RowSums direct_any(Coefficients c, const Row<double>& row) { return direct(c, row); }
AZ_MULTIVERSION void move_any(Coefficients c, const Row<float>& row, Removal removal) { move(c, row, removal); }
AZ_MULTIVERSION void move_any(Coefficients c, const Row<double>& row, Removal removal) { move(c, row, removal); }

}  // namespace

Adamp::Adamp(std::vector<Parameter> parameters, const AdampOptions& options)
    : Optimizer("adamp", std::move(parameters), options, {"exp_avg", "exp_avg_sq"}), options_(options) {}

UpdateInfo Adamp::update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) {
  const double beta1 = options_.betas[0], beta2 = options_.betas[1], t = double(state.step);
  const Coefficients c{.stay = group.step_only ? 0.0 : 1.0,
                       .lr = group.lr / (1 - std::pow(beta1, t)),
                       .decay = group.lr * group.weight_decay,
                       .beta1 = beta1,
                       .beta2 = beta2,
                       .along = options_.nesterov ? beta1 : 1,
                       .ahead = options_.nesterov ? 1 - beta1 : 0,
                       .root = 1 / std::sqrt(1 - std::pow(beta2, t)),
                       .eps = options_.eps};
  const ProjectionOptions projection{
      .delta = options_.delta, .wd_ratio = options_.wd_ratio, .eps = options_.eps, .when = options_.projection};
  UpdateInfo info = with_type(gradient.dtype(), [&](auto zero) {
    const auto all = whole<decltype(zero)>(parameter, gradient, state);
    return projected_update(
        gradient.shape(), projection, [&](int64_t begin, int64_t n) { return direct_any(c, all.part(begin, n)); },
        [&](int64_t begin, int64_t n, Removal removal) { move_any(c, all.part(begin, n), removal); });
  });
  info.step_only = group.step_only;
  return info;
}

EffectiveRate Adamp::effective_rate(const Parameter& parameter, const Group& group, const ParameterState& state) const {
  const AdamRate rate{.lr = group.lr, .beta2 = options_.betas[1], .eps = options_.eps, .coupled = 0};
  return optim::effective_rate(rate, parameter, state);
}

double Adamp::equilibrium_angle(const Group& group, const UpdateInfo& info) const {
  const double shrink = group.lr * group.weight_decay * info.decay_ratio;
  if (info.view != View::none) return projected_equilibrium(shrink);
  return momentum_equilibrium(shrink, options_.betas[0], options_.nesterov);
}

}  // namespace az::optim
