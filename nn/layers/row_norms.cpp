#include "nn/layers/row_norms.h"

#include <numeric>

#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/tensor/create.h"

namespace az::nn {

Tensor row_norms(const Tensor& v) {
  std::vector<int64_t> axes(size_t(v.rank() - 1));
  std::iota(axes.begin(), axes.end(), 1);
  return norm(v, {.axes = axes, .keep_axes = true});
}

Tensor inverse_row_norms(const Tensor& v) {
  const Tensor norms = row_norms(v), is_there = greater(norms, zeros(norms.shape(), norms.dtype())).to(norms.dtype());
  return is_there / clamp(norms, {.min = 1e-12});
}

}  // namespace az::nn
