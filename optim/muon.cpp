#include "optim/muon.h"

#include <cmath>
#include <limits>

#include "optim/equilibrium.h"
#include "optim/newton_schulz.h"
#include "optim/norm_control.h"
#include "optim/rule.h"

namespace az::optim {
namespace {

// One element of a weight w and of what it moves along.
struct Rule {
  Coefficient eta, factor, lambda;
  template <class T> T operator()(T w, T o) const { return eta * factor * o + eta * lambda * w; }
};

void check(const Parameter& parameter, const Group& group, bool normalize) {
  const int rank = parameter.tensor.rank();
  if (rank < 2)
    fail(
        "muon: \"{}\" has {} dimension{}, and muon moves matrices; name another optimizer for it in groups, as in "
        "{{\"dims\": {}, \"optimizer\": {{\"type\": \"sgd\", \"lr\": 0.1}}}}, or freeze it",
        parameter.name, rank, rank == 1 ? "" : "s", rank);
  if (parameter.kind != ParameterKind::weight)
    fail(
        "muon: \"{0}\" is of kind \"{1}\", and muon moves weights; name another optimizer for it in groups, as in "
        "{{\"kind\": \"{1}\", \"optimizer\": {{\"type\": \"sgd\", \"lr\": 0.1}}}}, or freeze it",
        parameter.name, az::name_of(parameter.kind));
  if (normalize && (group.trust_ratio > 0 || group.renormalize_every > 0))
    fail("muon: \"{}\" has its norm set by normalize and by {} of a group; leave one of them out", parameter.name,
         group.trust_ratio > 0 ? "the trust_ratio" : "renormalize_every");
}

}  // namespace

Muon::Muon(std::vector<Parameter> parameters, const MuonOptions& options)
    : Optimizer(
          "muon", std::move(parameters), options, {"momentum"},
          [normalize = options.normalize](const auto& parameter, const Group& group) { check(parameter, group, normalize); }),
      options_(options) {}

// orthogonalized() starts from a matrix scaled to a norm of 1: its singular values are at most 1, and small ones are many.
std::vector<std::string> Muon::examine() const {
  const std::vector<double>& by = options_.ns_coefficients;
  const auto odd = [&](const std::string& what) {
    return std::vector{fmt::format("ns_coefficients: take {} in {} steps; such as 3.4445, -4.775 and 2.0315 take all near 1",
                                   what, options_.ns_steps)};
  };
  bool all_zero = true;
  for (int percent = 1; percent <= 100; ++percent) {
    double s = percent / 100.0;
    for (int64_t step = 0; step < options_.ns_steps; ++step) s *= by[0] + s * s * (by[1] + s * s * by[2]);
    if (!(std::abs(s) <= std::numeric_limits<float>::max()))
      return odd(fmt::format("a singular value of {} beyond the largest number", percent / 100.0));
    all_zero = all_zero && float(s) == 0;
  }
  return all_zero ? odd("every singular value to 0") : std::vector<std::string>{};
}

UpdateInfo Muon::update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) {
  const Tensor& buf = state.tensors[0];
  const int64_t rows = gradient.size(0), columns = rows > 0 ? gradient.numel() / rows : 0;
  buf.mul_(options_.momentum).add_(gradient);
  const Tensor u = (options_.nesterov ? gradient : buf).detach().clone();
  if (options_.nesterov) u.add_(buf, options_.momentum);
  const Tensor o = orthogonalized(u.reshape({rows, columns}), {options_.ns_steps, options_.ns_coefficients});
  if (options_.normalize && group.lr > 0) set_norm(parameter.tensor, std::sqrt(double(rows)));
  const double factor = rows > columns ? std::sqrt(double(rows) / double(columns)) : 1;
  return update_elements(Rule{.eta = group.lr, .factor = factor, .lambda = group.weight_decay}, group, parameter.tensor, o);
}

// Without momentum steps are as good as independent. With it they are alike, by how much depends on the shape of the matrix.
double Muon::equilibrium_angle(const Group& group, const UpdateInfo&) const {
  return options_.momentum == 0 && !options_.normalize ? projected_equilibrium(group.lr * group.weight_decay) : NAN;
}

// A step has a length of its own as long as eps is nothing beside what is made orthogonal.
EffectiveRate Muon::effective_rate(const Parameter& parameter, const Group& group, const ParameterState& state) const {
  if (!(orthogonalized_eps < negligible * norm_of(state.tensors[0]))) return {};
  if (options_.normalize) return {.rate = group.lr / std::sqrt(double(parameter.tensor.size(0))), .norm_power = 0};
  return {.rate = group.lr, .norm_power = 1};
}

}  // namespace az::optim
