#include "optim/sgdp.h"

#include "optim/equilibrium.h"

namespace az::optim {
namespace {

struct Coefficients {
  double stay;                      // 0: only the step is left
  double lr, decay;                 // decay is lr * weight_decay / (1 - momentum)
  double keep, take, ahead, along;  // buf = keep buf + take g; d = ahead g + along buf
  bool project_momentum;
};

template <class T> [[gnu::always_inline]] inline RowSums direct(const Coefficients& c, const Row<T>& row) {
  const T keep = T(c.keep), take = T(c.take), ahead = T(c.ahead), along = T(c.along);
  return direct_row(
      row, [&](const Row<T>& part, T* d) __attribute__((always_inline)) {
        const auto [n, p, g, buf, unused] = part;
        for (int64_t i = 0; i < n; ++i) {
          buf[i] = keep * buf[i] + take * g[i];
          d[i] = ahead * g[i] + along * buf[i];
        }
      });
}

template <class T> [[gnu::always_inline]] inline void move(const Coefficients& c, const Row<T>& row, Removal removal) {
  const auto [n, p, g, buf, unused] = row;
  const T stay = T(c.stay), lr = T(c.lr), decay = T(c.decay * removal.decay_ratio), ahead = T(c.ahead), along = T(c.along);
  const T per_norm = T(removal.per_norm);
  T radial = T(removal.along);
  if (c.project_momentum && radial != 0) {
    for (int64_t i = 0; i < n; ++i) buf[i] -= radial * (per_norm * p[i]);
    radial = 0;
  }
  for (int64_t i = 0; i < n; ++i)
    p[i] = stay * p[i] - (lr * (ahead * g[i] + along * buf[i] - radial * (per_norm * p[i])) + decay * p[i]);
}

AZ_MULTIVERSION RowSums direct_any(const Coefficients& c, const Row<float>& row) { return direct(c, row); }
AZ_MULTIVERSION RowSums direct_any(const Coefficients& c, const Row<double>& row) { return direct(c, row); }
AZ_MULTIVERSION void move_any(const Coefficients& c, const Row<float>& row, Removal removal) { move(c, row, removal); }
AZ_MULTIVERSION void move_any(const Coefficients& c, const Row<double>& row, Removal removal) { move(c, row, removal); }

}  // namespace

Sgdp::Sgdp(std::vector<Parameter> parameters, const SgdpOptions& options)
    : Optimizer("sgdp", std::move(parameters), options, {"momentum"}), options_(options) {}

UpdateInfo Sgdp::update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) {
  const Coefficients c{.stay = group.step_only ? 0.0 : 1.0,
                       .lr = group.lr,
                       .decay = group.lr * group.weight_decay / (1 - options_.momentum),
                       .keep = options_.momentum,
                       .take = 1 - options_.dampening,
                       .ahead = options_.nesterov ? 1.0 : 0.0,
                       .along = options_.nesterov ? options_.momentum : 1.0,
                       .project_momentum = options_.project_momentum && !options_.nesterov};
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

double Sgdp::equilibrium_angle(const Group& group, const UpdateInfo& info) const {
  const double shrink = group.lr * group.weight_decay * info.decay_ratio / (1 - options_.momentum);
  if (info.view != View::none) return projected_equilibrium(shrink);
  if (options_.nesterov && options_.dampening != 0) return NAN;
  return momentum_equilibrium(shrink, options_.momentum, options_.nesterov);
}

}  // namespace az::optim
