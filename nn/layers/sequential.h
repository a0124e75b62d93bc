#pragma once

#include "nn/module.h"

namespace az::nn {

// Layers one after the other, named "0", "1", ...: Sequential(Conv2d(3, {.out_channels = 16}), BatchNorm2d(16), ReLU()).
// A batch norm followed by a ReLU runs as one op; observers see both with the output of the pair.
class Sequential : public Layer<Sequential> {
 public:
  Sequential() = default;
  template <std::derived_from<Module>... Layers> explicit Sequential(Layers... layers) {
    (append(std::make_unique<Layers>(std::move(layers))), ...);
  }
  Module& append(ModulePtr layer);
  // relu of the result + residual, in the pass of the batch norm that comes last; only where one does.
  Tensor then_add_relu(const Tensor& x, const Tensor& residual);
  bool ends_in_batch_norm();
  std::string describe() const override { return "Sequential"; }

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  Tensor run_first(size_t layers, const Tensor& x);
};

}  // namespace az::nn
