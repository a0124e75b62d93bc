#include "optim/clip.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "optim/loops.h"

namespace az::optim {
namespace {

AZ_MULTIVERSION double squares_f32(int64_t n, const float* g) { return row_sums(n, g, g, g).gg; }
AZ_MULTIVERSION double squares_f64(int64_t n, const double* g) { return row_sums(n, g, g, g).gg; }

template <class T, class Squares> double sum_of_squares(const Tensor& gradient, Squares squares) {
  const T* g = gradient.data<T>();
  std::vector<double> sums(size_t(gradient.numel() / chunk_length + 1));
  for_chunks(gradient.numel(),
             [&](int64_t begin, int64_t length) { sums[size_t(begin / chunk_length)] = squares(length, g + begin); });
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

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
  double total = 0;
  for (const auto& [name, tensor, kind] : parameters) {
    const Tensor gradient = tensor.grad();
    if (!gradient.defined()) continue;
    total += gradient.dtype() == DType::f64 ? sum_of_squares<double>(gradient, squares_f64)
                                            : sum_of_squares<float>(gradient, squares_f32);
  }
  const double norm = std::sqrt(total), factor = max_norm / (norm + 1e-6);
  if (factor >= 1) return norm;
  for (const auto& [name, tensor, kind] : parameters) {
    if (!tensor.grad().defined()) continue;
    if (tensor.dtype() == DType::f64)
      map_grad<double>(tensor, [&](double g) { return g * factor; });
    else
      map_grad<float>(tensor, [scale = float(factor)](float g) { return g * scale; });
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
