#include "optim/clip.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "optim/loops.h"
#include "optim/norm_control.h"

namespace az::optim {
namespace {

// Replaces the gradient of `tensor` by f of each element.
template <class T, class F> void map_grad(const Tensor& tensor, const F& f) {
  const Tensor before = tensor.grad(), after = Tensor::empty(before.shape(), before.dtype());
  const T* from = before.data<T>();
  T* to = after.mutable_data<T>();
  for_chunks(before.numel(), [&](int64_t begin, int64_t length) {
    for (int64_t i = begin; i < begin + length; ++i) to[i] = f(from[i]);
  });
  tensor.set_grad(after);
}

}  // namespace

double clip_grad_norm(const std::vector<Parameter>& parameters, double max_norm) {
  if (!(max_norm > 0)) fail("clip_grad_norm: max_norm must be more than 0, got {}", max_norm);
  double norm = 0;
  for (const auto& [name, tensor, kind] : parameters) {
    if (tensor.grad().defined()) norm = std::hypot(norm, norm_of(tensor.grad()));
  }
  const double factor = max_norm / (norm + 1e-6);
  if (factor >= 1) return norm;
  for (const auto& [name, tensor, kind] : parameters) {
    if (!tensor.grad().defined()) continue;
    if (tensor.dtype() == DType::f64)
      map_grad<double>(tensor, [&](double g) { return g * factor; });
    else
      map_grad<float>(tensor, [factor](float g) { return float(g * factor); });
  }
  return norm;
}

void clip_grad_value(const std::vector<Parameter>& parameters, double max_value) {
  if (!(max_value > 0)) fail("clip_grad_value: max_value must be more than 0, got {}", max_value);
  for (const auto& [name, tensor, kind] : parameters) {
    if (!tensor.grad().defined()) continue;
    if (tensor.dtype() == DType::f64)
      map_grad<double>(tensor, [&](double g) { return std::clamp(g, -max_value, max_value); });
    else
      map_grad<float>(tensor, [m = float(max_value)](float g) { return std::clamp(g, -m, m); });
  }
}

}  // namespace az::optim
