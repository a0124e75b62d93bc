#include "nn/layers/residual.h"

#include "core/ops/elementwise.h"

namespace az::nn {

Residual::Residual(Sequential body, Sequential shortcut, bool relu)
    : body_(add_child("body", std::move(body))), shortcut_(add_child("shortcut", std::move(shortcut))), relu_(relu) {}

Tensor Residual::forward(const Tensor& x) {
  Then then{.residual = child(shortcut_)(x), .relu = relu_};
  const Tensor body = child(body_).taking_along(x, then).result;
  const Tensor& shortcut = then.residual;
  if (!shortcut.defined()) return body;  // the body took both along
  if (!(body.shape() == shortcut.shape())) {
    fail("residual: body and shortcut give {} and {}", az::describe(body), az::describe(shortcut));
  }
  return relu_ ? add_relu(body, shortcut) : add(body, shortcut);
}

}  // namespace az::nn
