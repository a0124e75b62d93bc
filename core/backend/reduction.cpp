#include "core/backend/reduction.h"

namespace az {

Tensor sum_of(const Tensor& source, const Reduced& r, double divisor) {
  Tensor x = source.detach().plain();
  auto plus = [](auto a, auto b) { return a + b; };
  if (x.dtype() == DType::i64) return filled<int64_t>(r.result, reduce_all(x.data<int64_t>(), x.shape(), r, int64_t(0), plus));
  if (x.dtype() == DType::u8) return filled<int64_t>(r.result, reduce_all(x.data<uint8_t>(), x.shape(), r, int64_t(0), plus));
  return visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    return filled<T>(r.result, reduce_all(x.data<T>(), x.shape(), r, 0.0, plus), divisor);
  });
}

}  // namespace az
