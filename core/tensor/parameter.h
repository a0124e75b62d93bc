#pragma once

#include <string>
#include <vector>

#include "core/tensor/tensor.h"

namespace az {

// What a parameter does in its layer; optimizers' groups select by it.
enum class ParameterKind { weight, bias, norm };  // norm: scale and shift of a normalisation layer

// A trainable tensor with its path in the module tree ("layer1.0.conv1.weight").
struct Parameter {
  std::string name;
  Tensor tensor;
  ParameterKind kind = ParameterKind::weight;
};

// Stops its training: it gets no further gradient, and the one it has is dropped.
inline void freeze(const Parameter& parameter) {
  parameter.tensor.set_requires_grad(false);
  parameter.tensor.zero_grad();
}

// Names of those that need a gradient and that none has reached: asked after backward(), what the training leaves as it is. A
// forward that ran under NoGrad, took a detach() or never used them is the usual cause.
std::vector<std::string> without_gradient(const std::vector<Parameter>& parameters);

// "weight", "bias" or "norm"
const char* name_of(ParameterKind kind);

}  // namespace az
