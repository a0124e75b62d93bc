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

Pass run_fused(const Module& whole, std::span<Module* const> modules, const Tensor& x, Then& then) {
  const auto at = [&](size_t i) { return i < modules.size() ? modules[i] : nullptr; };
  Pass last{x};
  for (size_t i = 0; i < modules.size();) {
    auto* conv = exactly<BatchNorm2d>(at(i + 1)) ? exactly<Conv2d>(at(i)) : nullptr;
    const size_t after = conv ? i + 2 : i + 1;
    BatchNorm* norm = batch_norm(at(after - 1));
    if (!norm) {
      last = {(*modules[i++])(last.result)};
      continue;
    }
    auto* relu = exactly<ReLU>(at(after));
    const bool is_end = after == modules.size();
    const Then taken = is_end ? std::exchange(then, {}) : Then{.relu = relu != nullptr};
    const Module* also = is_end ? &whole : relu;
    last = conv ? conv->then_norm(last.result, static_cast<BatchNorm2d&>(*norm), taken, also)
                : norm->then(last.result, taken, also);
    if (relu) last = {relu->applied(last)};
    i = relu ? after + 1 : after;
  }
  return last;
}

}  // namespace az::nn
