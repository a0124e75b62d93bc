#include "nn/layers/sequential.h"

#include "nn/layers/fused.h"

namespace az::nn {

void Sequential::append(ModulePtr layer) { add_child(std::to_string(child_count()), std::move(layer)); }

Tensor Sequential::forward(const Tensor& x) {
  Then nothing;
  return run(x, nothing).result;
}

Pass Sequential::taking_along(const Tensor& x, Then& then) {
  return enter(x, [&] { return run(x, then); });
}

Pass Sequential::run(const Tensor& x, Then& then) {
  std::vector<Module*> layers;
  layers.reserve(child_count());
  for (size_t i = 0; i < child_count(); ++i) layers.push_back(&child(i));
  return run_fused(*this, layers, x, then);
}

}  // namespace az::nn
