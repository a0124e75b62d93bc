#include <fmt/ranges.h>

#include "core/base/error.h"
#include "core/tensor/create.h"
#include "optim/guarded_gradient.h"
#include "optim/norm_control.h"
#include "optim/optimizer.h"

// One update of one parameter.
namespace az::optim {

void Optimizer::update_one(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state,
                           StepObserver* observer) {
  if (gradient.shape() != parameter.tensor.shape() || gradient.dtype() != parameter.tensor.dtype())
    fail("{}: \"{}\" is {}, its gradient {}", name_, parameter.name, describe(parameter.tensor), describe(gradient));
  while (state.tensors.size() < slots_.size())
    state.tensors.push_back(zeros(parameter.tensor.shape(), parameter.tensor.dtype()));
  const int64_t step = ++state.step;
  const Parameter before = parameter;
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
    check_update(parameter, before, gradient, state, step);
  });
  if (observer) complete(info, group, state);
  observe([&] { observer->after(parameter, gradient, info); });
}

void Optimizer::check_update(const Parameter& now, const Parameter& before, const Tensor& gradient, const ParameterState& state,
                             int64_t step) const {
  const auto refuse = [&](const std::string& what) { fail("{}: the update of \"{}\" {}", name_, before.name, what); };
  const Tensor& weight = before.tensor;
  const bool renamed = now.name != before.name;
  if (renamed || !now.tensor.same(weight)) {
    refuse(fmt::format("replaced the parameter's {} by another one; write into its tensor: p.tensor.detach().add_(...)",
                       renamed ? "name" : "tensor"));
  }
  if (state.step != step)
    refuse(fmt::format("set its step to {} from {}; the optimizer counts the steps itself", state.step, step));
  if (state.tensors.size() != slots_.size()) {
    refuse(fmt::format("left it {} tensors of state; it has one for each slot: {}", state.tensors.size(),
                       fmt::join(slots_, ", ")));
  }
  for (size_t k = 0; k < slots_.size(); ++k) {
    const Tensor& tensor = state.tensors[k];
    if (!tensor.defined() || tensor.shape() != weight.shape() || tensor.dtype() != weight.dtype()) {
      refuse(fmt::format("made its \"{}\" {}; a slot holds a tensor like the parameter, {}", slots_[k], describe(tensor),
                         describe(weight)));
    }
    if (tensor.requires_grad()) {
      refuse(
          fmt::format("made its \"{}\" of tensors that need a gradient, so that it would keep their graph; make it of a "
                      "detach()",
                      slots_[k]));
    }
    const auto check_own = [&](const Tensor& other, const std::string& whose) {
      if (tensor.storage() == other.storage() && tensor.numel() > 0)
        refuse(fmt::format("made its \"{}\" share the memory of {}; write into the slot, or keep a clone()", slots_[k], whose));
    };
    check_own(gradient, "the gradient");
    check_own(weight, "the parameter");
    for (size_t j = 0; j < k; ++j) check_own(state.tensors[j], "its \"" + slots_[j] + "\"");
  }
}

void Optimizer::complete(UpdateInfo& info, const Group& group, const ParameterState& state) const {
  info.weight_decay = group.weight_decay;
  info.updates = state.step;
  for (size_t slot = 0; slot < slots_.size(); ++slot) info.state.emplace_back(slots_[slot], state.tensors[slot]);
}

UpdateInfo Optimizer::move(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state,
                           bool watched) {
  const Tensor& weight = parameter.tensor;
  if (group.renormalize_every && state.step == 1) state.start_norm = norm_of(weight);
  UpdateInfo info = group.trust_ratio > 0 ? update_by_trust_ratio(parameter, gradient, group, state, watched)
                                          : update(parameter, gradient, group, state);
  info.lr = group.lr;
  if (watched && group.trust_ratio == 0) info.effective = effective_rate(parameter, group, state);
  if (group.renormalize_every && state.step % group.renormalize_every == 0) set_norm(weight, state.start_norm);
  if (group.trust_ratio == 0 && !group.renormalize_every) info.equilibrium_angle = equilibrium_angle(group, info);
  return info;
}

// The step for a learning rate of 1 is made on a copy of the weight, then scaled: the scale makes up for that rate.
UpdateInfo Optimizer::update_by_trust_ratio(const Parameter& parameter, const Tensor& gradient, const Group& group,
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
    const double cosine = cosine_of(copy.tensor, parameter.tensor);
    const bool same_share = group.weight_decay == 0 && !std::isnan(effective_rate(parameter, group, state).norm_power);
    if (cosine * cosine < negligible || same_share) info.effective = {.rate = group.lr * group.trust_ratio, .norm_power = 0};
  }
  take_step(parameter.tensor, copy.tensor, {.lr = group.lr, .trust_ratio = group.trust_ratio});
  return info;
}

}  // namespace az::optim
