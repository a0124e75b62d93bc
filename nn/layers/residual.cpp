#include "nn/layers/residual.h"

#include "core/ops/elementwise.h"
#include "core/ops/norm.h"

namespace az::nn {

Residual::Residual(Sequential body, Sequential shortcut, bool relu)
    : body_(add_child("body", std::move(body))), shortcut_(add_child("shortcut", std::move(shortcut))), relu_(relu) {}

Tensor Residual::forward(const Tensor& x) {
  Sequential& layers = child(body_);
  Tensor shortcut = child(shortcut_)(x);
  if (relu_ && layers.ends_in_batch_norm()) return layers.then_add_relu(x, shortcut);
  Tensor body = layers(x);
  if (!(body.shape() == shortcut.shape())) {
    fail("residual: body and shortcut give {} and {}", az::describe(body), az::describe(shortcut));
  }
  return relu_ ? add_relu(body, shortcut) : add(body, shortcut);
}

}  // namespace az::nn
