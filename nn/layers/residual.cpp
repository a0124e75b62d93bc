#include "nn/layers/residual.h"

#include "core/autograd/sums.h"
#include "core/ops/activations.h"

namespace az::nn {

Residual::Residual(Sequential body, Sequential shortcut, bool relu)
    : body_(add_child("body", std::move(body))), shortcut_(add_child("shortcut", std::move(shortcut))), relu_(relu) {}

Tensor Residual::forward(const Tensor& x) {
  Then then{.residual = child(shortcut_)(x), .relu = relu_};
  const Tensor body = child(body_).taking_along(x, then).result;
  const Tensor& shortcut = then.residual;
  if (!shortcut.defined()) return body;  // the body took both along
  check_residual("residual", body.shape(), body.dtype(), shortcut);
  return relu_ ? add_relu(body, shortcut) : add(body, shortcut);
}

}  // namespace az::nn
