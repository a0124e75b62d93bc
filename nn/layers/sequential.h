#pragma once

#include "nn/layers/batch_norm.h"

namespace az::nn {

// Layers one after the other, named "0", "1", ...: Sequential(Conv2d(3, {.out_channels = 16}), BatchNorm2d(16), ReLU()). A
// class derived from it may register them by names of its own; they run in the order of registration. A batch norm runs as one
// op with the ReLU behind it and, in evaluation, with the convolution before it (ReLU says what that may give below zero);
// observers see each of them with the output of the whole. Layers of one's own, derived from these or not, run by themselves.
class Sequential : public Layer<Sequential> {
 public:
  Sequential() = default;
  template <std::derived_from<Module>... Layers> explicit Sequential(Layers... layers) {
    (append(std::make_unique<Layers>(std::move(layers))), ...);
  }
  void append(ModulePtr layer);
  // relu of the result + residual, in the pass of the batch norm that comes last; only where one does.
  Tensor then_add_relu(const Tensor& x, const Tensor& residual);
  bool ends_in_batch_norm();
  std::string describe() const override { return "Sequential"; }

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  // The child, where there is one of just this type.
  template <class Kind> Kind* exactly(size_t index);
  BatchNorm* batch_norm(size_t index);
  // residual, where there is one, is added in the pass of the batch norm that comes last, and ReLU applied.
  Tensor run(const Tensor& x, const Tensor& residual);
};

}  // namespace az::nn
