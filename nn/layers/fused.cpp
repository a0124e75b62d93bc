#include "nn/layers/fused.h"

#include "nn/layers/activations.h"
#include "nn/layers/conv2d.h"

namespace az::nn {
namespace {

template <class Kind> Kind* exactly(Module* module) {
  return module && typeid(*module) == typeid(Kind) ? static_cast<Kind*>(module) : nullptr;
}

BatchNorm* batch_norm(Module* module) {
  if (auto* of_images = exactly<BatchNorm2d>(module)) return of_images;
  return exactly<BatchNorm1d>(module);
}

}  // namespace

Tensor run_fused(std::span<Module* const> modules, const Tensor& x, Then& then) {
  const auto at = [&](size_t i) { return i < modules.size() ? modules[i] : nullptr; };
  Tensor y = x;
  for (size_t i = 0; i < modules.size();) {
    auto* conv = exactly<BatchNorm2d>(at(i + 1)) ? exactly<Conv2d>(at(i)) : nullptr;
    const size_t after = conv ? i + 2 : i + 1;
    BatchNorm* norm = batch_norm(at(after - 1));
    if (!norm) {
      y = (*modules[i++])(y);
      continue;
    }
    auto* relu = exactly<ReLU>(at(after));
    const Then taken = after == modules.size() ? std::exchange(then, {}) : Then{.relu = relu != nullptr};
    y = conv ? conv->then_norm(y, static_cast<BatchNorm2d&>(*norm), taken) : norm->then(y, taken);
    if (relu) y = relu->applied(y);
    i = relu ? after + 1 : after;
  }
  return y;
}

}  // namespace az::nn
