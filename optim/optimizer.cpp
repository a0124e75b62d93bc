#include "optim/optimizer.h"

#include <set>

#include "core/error.h"
#include "core/ops/create.h"

namespace az::optim {
namespace {

Tensor scalar(int64_t value) { return Tensor::of<int64_t>({}, {value}); }

}  // namespace

const char* name_of(View view) {
  switch (view) {
    case View::none: return "none";
    case View::channel: return "channel";
    case View::layer: return "layer";
  }
  return "?";
}

Optimizer::Optimizer(const char* name, std::vector<Parameter> parameters, double lr, double weight_decay,
                     const std::vector<GroupOptions>& groups, std::vector<std::string> slots)
    : name_(name),
      parameters_(std::move(parameters)),
      lr_(lr),
      groups_(resolve_groups(parameters_, groups, weight_decay)),
      slots_(std::move(slots)),
      states_(parameters_.size()) {
  if (parameters_.empty()) fail("{}: there are no parameters to train", name_);
  std::set<std::string> names;
  std::set<const TensorImpl*> tensors;
  for (const Parameter& parameter : parameters_) {
    if (!names.insert(parameter.name).second) fail("{}: two parameters are named \"{}\"", name_, parameter.name);
    if (!tensors.insert(parameter.tensor.impl().get()).second) fail("{}: \"{}\" is listed twice", name_, parameter.name);
    const DType type = parameter.tensor.dtype();
    if (type != DType::f32 && type != DType::f64) {
      fail("{}: \"{}\" is {}; parameters are f32 or f64", name_, parameter.name, az::name_of(type));
    }
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (groups_[i].frozen) freeze(parameters_[i]);
  }
}

void Optimizer::step(StepObserver* observer) {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& parameter = parameters_[i];
    const Tensor gradient = parameter.tensor.grad();
    if (!gradient.defined()) continue;
    if (gradient.shape() != parameter.tensor.shape() || gradient.dtype() != parameter.tensor.dtype()) {
      fail("{}: \"{}\" is {}, its gradient {}", name_, parameter.name, describe(parameter.tensor), describe(gradient));
    }
    ParameterState& state = states_[i];
    while (state.tensors.size() < slots_.size())
      state.tensors.push_back(zeros(parameter.tensor.shape(), parameter.tensor.dtype()));
    ++state.step;
    if (observer) observer->before(parameter, gradient);
    const UpdateInfo info =
        update(parameter, gradient, {.lr = lr_ * groups_[i].lr, .weight_decay = groups_[i].weight_decay}, state);
    if (observer) observer->after(parameter, gradient, info);
  }
  ++steps_;
}

void Optimizer::zero_grad() {
  for (const Parameter& parameter : parameters_) parameter.tensor.zero_grad();
}

std::map<std::string, Tensor> Optimizer::state() const {
  std::map<std::string, Tensor> result{{"steps", scalar(steps_)}};
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const std::string& name = parameters_[i].name;
    result.emplace("steps/" + name, scalar(states_[i].step));
    for (size_t k = 0; k < states_[i].tensors.size(); ++k) result.emplace(slots_[k] + "/" + name, states_[i].tensors[k]);
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
    for (const std::string& slot : slots_) {
      const Tensor saved = take(slot + "/" + parameter.name, parameter.tensor.shape(), parameter.tensor.dtype());
      states[i].tensors.push_back(saved.clone());
    }
  }
  for (const auto& [name, tensor] : state) {
    if (!used.count(name)) fail("{}: the saved state has \"{}\" too; it is of another model or optimizer", name_, name);
  }
  states_ = std::move(states);
  steps_ = steps;
}

}  // namespace az::optim
