#include "optim/optimizer.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/base/error.h"
#include "core/tensor/create.h"
#include "optim/guarded_gradient.h"
#include "optim/norm_control.h"

namespace az::optim {

Optimizer::Optimizer(const char* name, std::vector<Parameter> parameters, double lr, double weight_decay,
                     const std::vector<GroupOptions>& groups, std::vector<std::string> slots)
    : name_(name),
      parameters_(std::move(parameters)),
      lr_(checked_lr(name, lr, weight_decay, groups)),
      groups_(resolve_groups(parameters_, groups, weight_decay)),
      slots_(std::move(slots)),
      states_(parameters_.size()) {
  if (parameters_.empty()) fail("{}: there are no parameters to train", name_);
  check_state_names();
  std::set<std::string> names;
  std::map<const void*, std::string> tensors;
  for (const Parameter& parameter : parameters_) {
    if (!names.insert(parameter.name).second) fail("{}: two parameters are named \"{}\"", name_, parameter.name);
    if (!parameter.tensor.defined()) fail("{}: \"{}\" is an undefined tensor", name_, parameter.name);
    const auto [same, is_new] = tensors.emplace(parameter.tensor.storage().get(), parameter.name);
    if (!is_new && parameter.tensor.numel() > 0)
      fail("{}: \"{}\" and \"{}\" are one tensor; list it once", name_, same->second, parameter.name);
    const DType type = parameter.tensor.dtype();
    if (type != DType::f32 && type != DType::f64)
      fail("{}: \"{}\" is {}; parameters are f32 or f64", name_, parameter.name, az::name_of(type));
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (groups_[i].frozen) freeze(parameters_[i]);
  }
}

void Optimizer::step(StepObserver* observer) {
  std::vector<Tensor> gradients;  // taken before the first update, which may forget them
  for (const Parameter& parameter : parameters_) gradients.push_back(parameter.tensor.grad());
  if (std::none_of(gradients.begin(), gradients.end(), [](const Tensor& gradient) { return gradient.defined(); })) {
    fail(
        "{}: none of the {} parameters has a gradient; call backward() on a loss that depends on them before step(), and make "
        "the optimizer after Module::to()",
        name_, parameters_.size());
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& parameter = parameters_[i];
    const Tensor& gradient = gradients[i];
    if (!gradient.defined()) continue;
    if (gradient.shape() != parameter.tensor.shape() || gradient.dtype() != parameter.tensor.dtype())
      fail("{}: \"{}\" is {}, its gradient {}", name_, parameter.name, describe(parameter.tensor), describe(gradient));
    ParameterState& state = states_[i];
    while (state.tensors.size() < slots_.size())
      state.tensors.push_back(zeros(parameter.tensor.shape(), parameter.tensor.dtype()));
    const int64_t step = ++state.step;
    const Parameter before = parameter;
    Group group = groups_[i];
    group.lr *= lr_;
    const GuardedGradient guarded(gradient);
    const auto guard = [&, &name = before.name](const char* who) {
      if (guarded.changed())
        fail("{}: the {} of \"{}\" wrote to its gradient, which others may use; write to a clone() of it", name_, who, name);
    };
    const auto observe = [&](const auto& turn) {
      if (!observer) return;
      placed([&] { return fmt::format("{}: observer of \"{}\"", name_, parameter.name); }, turn);
      guard("observer");
    };
    observe([&] { observer->before(parameter, gradient); });
    UpdateInfo info;
    located([&] {
      info = placed([&] { return fmt::format("{}: update of \"{}\"", name_, before.name); },
                    [&] { return move(parameter, gradient, group, state, observer != nullptr); });
      guard("update");
      check_update(i, before, gradient, step);
    });
    if (observer) complete(info, group, state);
    observe([&] { observer->after(parameter, gradient, info); });
  }
  ++steps_;
}

UpdateInfo Optimizer::move(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state,
                           bool watched) {
  const Tensor& weight = parameter.tensor;
  if (group.renormalize_every && state.step == 1) state.start_norm = norm_of(weight);
  UpdateInfo info = group.trust_ratio > 0 ? scaled_update(parameter, gradient, group, state, watched)
                                          : update(parameter, gradient, group, state);
  info.lr = group.lr;
  if (watched && group.trust_ratio == 0) info.effective = effective_rate(parameter, group, state);
  if (group.renormalize_every && state.step % group.renormalize_every == 0) scale_to_norm(weight, state.start_norm);
  if (group.trust_ratio == 0 && !group.renormalize_every) info.equilibrium_angle = equilibrium_angle(group, info);
  return info;
}

// The step for a learning rate of 1 is made on a copy of the weight, then scaled: the scale makes up for that rate.
UpdateInfo Optimizer::scaled_update(const Parameter& parameter, const Tensor& gradient, const Group& group,
                                    ParameterState& state, bool watched) {
  Parameter copy{parameter.name, parameter.tensor.detach().clone(), parameter.kind};
  Group moving = group;
  moving.lr = 1;
  moving.step_only = true;
  UpdateInfo info = update(copy, gradient, moving, state);
  if (!info.step_only) copy.tensor.add_(parameter.tensor.detach(), -1);
  if (watched) {
    // A step of a given length turns the weight by its part across: by all of it, or by the same share at any norm. Decay is
    // along the weight, and takes a larger share the longer that is.
    const double along = cosine_of(copy.tensor, parameter.tensor);
    const bool same_share = group.weight_decay == 0 && !std::isnan(effective_rate(parameter, group, state).norm_power);
    if (along * along < negligible || same_share) info.effective = {.rate = group.lr * group.trust_ratio, .norm_power = 0};
  }
  take_step(parameter.tensor, copy.tensor, {.lr = group.lr, .trust_ratio = group.trust_ratio});
  return info;
}

}  // namespace az::optim
