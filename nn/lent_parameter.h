#pragma once

#include "nn/module.h"

namespace az::nn {

// For layers that make a parameter of another layer from parameters of their own: while one lives, on its thread,
// layer.parameter(name) is `value`. Throws unless the parameter was taken by layer.take_parameter(name).
class [[nodiscard]] LentParameter {
 public:
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
