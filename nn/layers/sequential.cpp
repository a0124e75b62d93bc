#include "nn/layers/sequential.h"

#include "nn/layers/activations.h"
#include "nn/layers/batch_norm.h"

namespace az::nn {

Module& Sequential::append(ModulePtr layer) { return add_child(std::to_string(child_count()), std::move(layer)); }

Tensor Sequential::forward(const Tensor& x) {
  Tensor y = x;
  for (size_t i = 0; i < child_count(); ++i) {
    auto* norm = dynamic_cast<BatchNorm*>(&child(i));
    auto* relu = norm && i + 1 < child_count() ? dynamic_cast<ReLU*>(&child(i + 1)) : nullptr;
    y = relu ? relu->applied(norm->then_relu(y)) : child(i)(y);
    if (relu) ++i;
  }
  return y;
}

}  // namespace az::nn
