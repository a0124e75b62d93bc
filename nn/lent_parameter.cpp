#include "nn/lent_parameter.h"

namespace az::nn {
namespace {

thread_local LentParameter* innermost = nullptr;

}  // namespace

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
