#include "optim/clip.h"

#include <algorithm>
#include <cmath>

#include "core/backend/threads.h"
#include "core/error.h"
#include "optim/projection.h"

namespace az::optim {
namespace {

constexpr int64_t chunk = 16384;

template <class T> [[gnu::always_inline]] inline double squares(int64_t n, const T* g) {
  return row_sums(n, g, g, [](int64_t) { return T(0); }).gg;
}
AZ_MULTIVERSION double squares_f32(int64_t n, const float* g) { return squares(n, g); }
AZ_MULTIVERSION double squares_f64(int64_t n, const double* g) { return squares(n, g); }

// Sum of squares by chunks of fixed size, so that it does not depend on the number of threads.
template <class T, class Squares> double sum_of_squares(const Tensor& gradient, Squares squares_of) {
  const T* g = gradient.data<T>();
  const int64_t count = gradient.numel(), chunks = (count + chunk - 1) / chunk;
  std::vector<double> sums(static_cast<size_t>(chunks));
  parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sums[size_t(i)] = squares_of(std::min(chunk, count - i * chunk), g + i * chunk);
  });
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

// Replaces the gradient of `tensor` by f of each element.
template <class T, class F> void map_grad(const Tensor& tensor, const F& f) {
  const Tensor before = tensor.grad(), after = Tensor::empty(before.shape(), before.dtype());
  const T* from = before.data<T>();
  T* to = after.mutable_data<T>();
  parallel_for(before.numel(), chunk, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = f(from[i]);
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
