#pragma once

#include "core/backend/operands.h"
#include "nn/module.h"

namespace az::nn {

// Layers one after the other, named "0", "1", ...: Sequential(Conv2d(3, {.out_channels = 16}), BatchNorm2d(16), ReLU()). A
// class derived from it may register them by names of its own; they run in the order of registration, by run_fused().
class Sequential : public Layer<Sequential> {
 public:
  Sequential() = default;
  template <std::derived_from<Module>... Layers> explicit Sequential(Layers... layers) {
    (append(std::make_unique<Layers>(std::move(layers))), ...);
  }
  void append(ModulePtr layer);
  // The result, with what is to follow it where a batch norm comes last; nothing of `then` is left in that case.
  Pass taking_along(const Tensor& x, Then& then);
  std::string describe() const override { return "Sequential"; }

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  Pass run(const Tensor& x, Then& then);
};

}  // namespace az::nn
