#pragma once

#include "nn/module.h"

namespace az::nn {

// For layers that make a parameter of another layer from parameters of their own. take() has it leave that layer's parameters()
// and state(); while a LentParameter lives, on its thread, layer.parameter(name) is `value`, and what was taken otherwise.
class [[nodiscard]] LentParameter {
 public:
  // Gives the parameter's value. Throws where the layer has none of that name.
  static Tensor take(Module& layer, const std::string& name);
  // Throws unless the parameter was taken.
  LentParameter(const Module& layer, std::string name, Tensor value);
  ~LentParameter();
  LentParameter(const LentParameter&) = delete;
  // What is lent to the layer under that name now; null for nothing.
  static const Tensor* find(const Module& layer, const std::string& name);

 private:
  const Module& layer_;
  std::string name_;
  Tensor value_;
  LentParameter* outer_;
};

}  // namespace az::nn
