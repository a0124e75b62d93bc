#include "optim/optimizer.h"

#include <algorithm>
#include <set>

#include "core/base/error.h"

namespace az::optim {

Optimizer::Optimizer(const char* name, std::vector<Parameter> parameters, double lr, double weight_decay,
                     const std::vector<GroupOptions>& groups, std::vector<std::string> slots, Check check)
    : name_(name),
      parameters_(std::move(parameters)),
      start_lr_(checked_lr(name, lr, weight_decay, groups)),
      lr_(start_lr_),
      weight_decay_(weight_decay),
      slots_(std::move(slots)),
      check_(std::move(check)),
      states_(parameters_.size()) {
  Resolved resolved = resolve_groups(parameters_, groups, weight_decay);
  groups_ = std::move(resolved.groups), movers_ = std::move(resolved.movers), others_ = std::move(resolved.others);
  std::replace(movers_.begin(), movers_.end(), static_cast<Optimizer*>(nullptr), this);
  check_state_names();
  check_parameters();
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (groups_[i].frozen) freeze(parameters_[i]);
  }
}

void Optimizer::check_parameters() const {
  if (parameters_.empty()) fail("{}: there are no parameters to train", name_);
  if (!others_.empty() && start_lr_ == 0)
    fail("{}: lr is 0, and the rate of an optimizer in a group keeps its proportion to it; give it one above 0", name_);
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
    if (!groups_[i].frozen && parameters_[i].tensor.requires_grad()) check_mover(i);
  }
}

void Optimizer::check_mover(size_t i) const {
  const Optimizer& mover = *movers_[i];
  if (mover.check_) mover.located([&] { mover.check_(parameters_[i], groups_[i]); });
}

void Optimizer::set_lr(double lr) {
  if (!(lr >= 0 && std::isfinite(lr))) fail("{}: set_lr: a learning rate is a finite number of 0 or more, got {}", name_, lr);
  lr_ = lr;
  for (const auto& [group, other] : others_) other->lr_ = other->start_lr_ * (lr / start_lr_);
}

std::vector<std::string> Optimizer::examine_all() const {
  std::vector<std::string> all = examine();
  for (const auto& [group, other] : others_) {
    for (const std::string& note : other->located([&one = *other] { return one.examine(); }))
      all.push_back(fmt::format("groups.{}.optimizer.{}", group, note));
  }
  return all;
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
    if (gradients[i].defined() && states_[i].step == 0) check_mover(i);
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!gradients[i].defined()) continue;
    Group group = groups_[i];
    group.lr *= movers_[i]->lr_;
    movers_[i]->update_one(parameters_[i], gradients[i], group, states_[i], observer);
  }
  ++steps_;
  for (const auto& [group, other] : others_) other->steps_ = steps_;
}

void Optimizer::zero_grad() {
  for (const Parameter& parameter : parameters_) parameter.tensor.zero_grad();
}

}  // namespace az::optim
