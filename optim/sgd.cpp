#include "optim/sgd.h"

#include "optim/equilibrium.h"
#include "optim/loops.h"

namespace az::optim {
namespace {

struct Coefficients {
  double stay;                      // 0: only the step is left
  double lr, coupled, decay;        // decay is lr * weight_decay
  double keep, take, ahead, along;  // buf = keep buf + take g; the move is against ahead g + along buf
};

template <class T> [[gnu::always_inline]] inline void move(const Coefficients& c, const Row<T>& row) {
  const auto [n, p, g, buf, unused] = row;
  const T stay = T(c.stay), lr = T(c.lr), coupled = T(c.coupled), decay = T(c.decay);
  const T keep = T(c.keep), take = T(c.take), ahead = T(c.ahead), along = T(c.along);
  if (!buf) {
    for (int64_t i = 0; i < n; ++i) p[i] = stay * p[i] - (lr * (g[i] + coupled * p[i]) + decay * p[i]);
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    const T d = g[i] + coupled * p[i];
    buf[i] = keep * buf[i] + take * d;
    p[i] = stay * p[i] - (lr * (ahead * d + along * buf[i]) + decay * p[i]);
  }
}

AZ_MULTIVERSION void move_row(const Coefficients& c, const Row<float>& row) { move(c, row); }
AZ_MULTIVERSION void move_row(const Coefficients& c, const Row<double>& row) { move(c, row); }

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
  const bool first = state.step == 1;
  const Coefficients c{.stay = group.step_only ? 0.0 : 1.0,
                       .lr = group.lr,
                       .coupled = options_.decoupled ? 0 : group.weight_decay,
                       .decay = options_.decoupled ? group.lr * group.weight_decay : 0,
                       .keep = options_.momentum,
                       .take = first ? 1 : 1 - options_.dampening,
                       .ahead = options_.nesterov ? 1.0 : 0.0,
                       .along = options_.nesterov ? options_.momentum : 1.0};
  with_type(gradient.dtype(), [&](auto zero) {
    const auto all = whole<decltype(zero)>(parameter, gradient, state);
    for_chunks(all.n, [&](int64_t begin, int64_t length) { move_row(c, all.part(begin, length)); });
  });
  return {.step_only = group.step_only};
}

double Sgd::equilibrium_angle(const Group& group, const UpdateInfo&) const {
  const double decay = group.lr * group.weight_decay;
  const double shrink =
      options_.decoupled || options_.momentum == 0 ? decay : decay * (1 - options_.dampening) / (1 - options_.momentum);
  return momentum_equilibrium(shrink, options_.momentum, options_.nesterov);
}

}  // namespace az::optim
