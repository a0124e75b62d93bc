#include <set>

#include "core/base/error.h"
#include "core/base/names.h"
#include "optim/optimizer.h"

namespace az::optim {
namespace {

Tensor scalar(int64_t value) { return Tensor::of<int64_t>({}, {value}); }

}  // namespace

// A tensor's name there is SLOT/NAME.
void Optimizer::check_state_names() const {
  std::set<std::string> taken{"steps", "start_norm"};
  for (const std::string& slot : slots_) {
    check_name(name_ + ": slot", slot, "/");
    if (!taken.insert(slot).second) fail("{}: a slot cannot be called \"{}\": the state has one of that name", name_, slot);
  }
  for (const Parameter& parameter : parameters_) check_name(name_ + ": parameter", parameter.name);
}

std::map<std::string, Tensor> Optimizer::state() const {
  std::map<std::string, Tensor> result{{"steps", scalar(steps_)}};
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const std::string& name = parameters_[i].name;
    result.emplace("steps/" + name, scalar(states_[i].step));
    if (groups_[i].renormalize_every && states_[i].step > 0)
      result.emplace("start_norm/" + name, Tensor::of<double>({}, {states_[i].start_norm}));
    const auto& slots = movers_[i]->slots_;
    for (size_t k = 0; k < states_[i].tensors.size(); ++k) result.emplace(slots[k] + "/" + name, states_[i].tensors[k]);
  }
  return result;
}

void Optimizer::load_state(const std::map<std::string, Tensor>& state) {
  std::set<std::string> used;
  auto take = [&](const std::string& name, const Shape& shape, DType type) {
    auto found = state.find(name);
    if (found == state.end()) fail("{}: the saved state has no \"{}\"; it is of another model or optimizer", name_, name);
    if (found->second.shape() != shape || found->second.dtype() != type) {
      fail("{}: the saved \"{}\" is {}, expected {} {}", name_, name, describe(found->second), az::name_of(type), shape.str());
    }
    used.insert(name);
    return found->second;
  };
  auto take_count = [&](const std::string& name) {
    const int64_t count = take(name, {}, DType::i64).data<int64_t>()[0];
    if (count < 0) fail("{}: the saved \"{}\" is {}", name_, name, count);
    return count;
  };

  const int64_t steps = take_count("steps");
  std::vector<ParameterState> states(parameters_.size());
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    states[i].step = take_count("steps/" + parameter.name);
    if (states[i].step == 0) continue;
    if (groups_[i].renormalize_every)
      states[i].start_norm = take("start_norm/" + parameter.name, {}, DType::f64).data<double>()[0];
    for (const std::string& slot : movers_[i]->slots_) {
      const Tensor saved = take(slot + "/" + parameter.name, parameter.tensor.shape(), parameter.tensor.dtype());
      states[i].tensors.push_back(saved.clone());
    }
  }
  for (const auto& [name, tensor] : state) {
    if (name.starts_with("start_norm/")) continue;  // of a group that was renormalized until now
    if (!used.count(name)) fail("{}: the saved state has \"{}\" too; it is of another model or optimizer", name_, name);
  }
  states_ = std::move(states);
  steps_ = steps;
  for (const auto& [group, other] : others_) other->steps_ = steps;
}

}  // namespace az::optim
