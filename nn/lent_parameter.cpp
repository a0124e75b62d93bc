#include "nn/lent_parameter.h"

#include <algorithm>
#include <utility>

namespace az::nn {
namespace {

thread_local LentParameter* innermost = nullptr;

}  // namespace

Tensor LentParameter::take(Module& layer, const std::string& name) {
  auto& all = layer.parameters_;
  const auto found = std::find_if(all.begin(), all.end(), [&](const Parameter& p) { return p.name == name; });
  if (found == all.end() || !found->tensor.defined()) fail("{}: no parameter {}", class_of(layer), name);
  return layer.taken_[name] = std::exchange(found->tensor, {}).detach();
}

LentParameter::LentParameter(const Module& layer, std::string name, Tensor value)
    : layer_(layer), name_(std::move(name)), value_(std::move(value)), outer_(innermost) {
  if (!layer.taken_.contains(name_))
    fail("{}: the parameter \"{}\" was not taken, so none can be lent", class_of(layer), name_);
  innermost = this;
}
LentParameter::~LentParameter() { innermost = outer_; }

const Tensor* LentParameter::find(const Module& layer, const std::string& name) {
  for (const LentParameter* lent = innermost; lent; lent = lent->outer_) {
    if (&lent->layer_ == &layer && lent->name_ == name) return &lent->value_;
  }
  return nullptr;
}

}  // namespace az::nn
