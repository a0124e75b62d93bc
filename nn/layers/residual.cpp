#include "nn/layers/residual.h"

#include "core/ops/elementwise.h"
#include "core/ops/norm.h"

namespace az::nn {

Residual::Residual(Sequential body, Sequential shortcut, bool relu) : relu_(relu) {
  add_child("body", std::move(body));
  add_child("shortcut", std::move(shortcut));
}

Tensor Residual::forward(const Tensor& x) {
  Tensor body = child("body")(x), shortcut = child("shortcut")(x);
  if (!(body.shape() == shortcut.shape())) {
    fail("residual: body and shortcut give {} and {}", az::describe(body), az::describe(shortcut));
  }
  return relu_ ? add_relu(body, shortcut) : add(body, shortcut);
}

}  // namespace az::nn
