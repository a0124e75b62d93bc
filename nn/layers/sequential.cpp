#include "nn/layers/sequential.h"

#include "nn/layers/activations.h"
#include "nn/layers/batch_norm.h"

namespace az::nn {

Module& Sequential::append(ModulePtr layer) { return add_child(std::to_string(child_count()), std::move(layer)); }

Tensor Sequential::forward(const Tensor& x) { return run_first(child_count(), x); }

bool Sequential::ends_in_batch_norm() { return child_count() && dynamic_cast<BatchNorm*>(&child(child_count() - 1)); }

Tensor Sequential::then_add_relu(const Tensor& x, const Tensor& residual) {
  const size_t last = child_count() - 1;
  return enter(x, [&] { return dynamic_cast<BatchNorm&>(child(last)).then_add_relu(run_first(last, x), residual); });
}

Tensor Sequential::run_first(size_t layers, const Tensor& x) {
  Tensor y = x;
  for (size_t i = 0; i < layers; ++i) {
    auto* norm = dynamic_cast<BatchNorm*>(&child(i));
    auto* relu = norm && i + 1 < layers ? dynamic_cast<ReLU*>(&child(i + 1)) : nullptr;
    y = relu ? relu->applied(norm->then_relu(y)) : child(i)(y);
    if (relu) ++i;
  }
  return y;
}

}  // namespace az::nn
