#include "core/tensor/parameter.h"

namespace az {

std::vector<std::string> without_gradient(const std::vector<Parameter>& parameters) {
  std::vector<std::string> names;
  for (const Parameter& p : parameters) {
    if (p.tensor.requires_grad() && !p.tensor.grad().defined()) names.push_back(p.name);
  }
  return names;
}

const char* name_of(ParameterKind kind) {
  switch (kind) {
    case ParameterKind::weight: return "weight";
    case ParameterKind::bias: return "bias";
    case ParameterKind::norm: return "norm";
  }
  return "?";
}

}  // namespace az
