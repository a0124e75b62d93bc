#include "nn/layers/sequential.h"

#include <typeinfo>

#include "nn/layers/activations.h"
#include "nn/layers/conv2d.h"

namespace az::nn {

void Sequential::append(ModulePtr layer) { add_child(std::to_string(child_count()), std::move(layer)); }

Tensor Sequential::forward(const Tensor& x) { return run(x, {}); }

// A class derived from Kind may have a forward of its own.
template <class Kind> Kind* Sequential::exactly(size_t index) {
  if (index >= child_count()) return nullptr;
  Module& layer = child(index);
  return typeid(layer) == typeid(Kind) ? static_cast<Kind*>(&layer) : nullptr;
}

BatchNorm* Sequential::batch_norm(size_t index) {
  if (auto* of_images = exactly<BatchNorm2d>(index)) return of_images;
  return exactly<BatchNorm1d>(index);
}

bool Sequential::ends_in_batch_norm() { return child_count() > 0 && batch_norm(child_count() - 1); }

Tensor Sequential::then_add_relu(const Tensor& x, const Tensor& residual) {
  if (!ends_in_batch_norm()) fail("then_add_relu: {} does not end in a batch norm", describe());
  return enter(x, [&] { return run(x, residual); });
}

Tensor Sequential::run(const Tensor& x, const Tensor& residual) {
  Tensor y = x;
  for (size_t i = 0; i < child_count();) {
    auto* conv = exactly<BatchNorm2d>(i + 1) ? exactly<Conv2d>(i) : nullptr;
    const size_t at = conv ? i + 1 : i;
    BatchNorm* norm = batch_norm(at);
    if (!norm) {
      y = child(i++)(y);
      continue;
    }
    auto* relu = exactly<ReLU>(at + 1);
    const Tensor added = at + 1 == child_count() ? residual : Tensor();
    if (conv)
      y = conv->then_norm(y, *exactly<BatchNorm2d>(at), {.residual = added, .relu = relu || added.defined()});
    else if (added.defined())
      y = norm->then_add_relu(y, added);
    else
      y = relu ? norm->then_relu(y) : (*norm)(y);
    if (relu) y = relu->applied(y);
    i = at + (relu ? 2 : 1);
  }
  return y;
}

}  // namespace az::nn
