#include "core/parameter.h"

namespace az {

const char* name_of(ParameterKind kind) {
  switch (kind) {
    case ParameterKind::weight: return "weight";
    case ParameterKind::bias: return "bias";
    case ParameterKind::norm: return "norm";
  }
  return "?";
}

}  // namespace az
