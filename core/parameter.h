#pragma once

#include <string>
#include <vector>

#include "core/tensor.h"

namespace az {

// What a parameter does in its layer; optimizers' groups select by it.
enum class ParameterKind { weight, bias, norm };  // norm: scale and shift of a normalisation layer

// A trainable tensor with its path in the module tree ("layer1.0.conv1.weight").
struct Parameter {
  std::string name;
  Tensor tensor;
  ParameterKind kind = ParameterKind::weight;
};

// "weight", "bias" or "norm"
const char* name_of(ParameterKind kind);

}  // namespace az
