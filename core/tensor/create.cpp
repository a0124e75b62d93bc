#include "core/tensor/create.h"

#include <cmath>
#include <cstring>

#include "core/base/random.h"
#include "core/base/threads.h"

namespace az {
namespace {

// Draws again what rounding lifted to `limit`.
template <class Draw> Tensor drawn(const char* op, const Shape& shape, DType type, double limit, Draw draw) {
  if (!is_float(type)) fail("{}: needs a floating type, got {}", op, name_of(type));
  Tensor result = Tensor::empty(shape, type);
  visit(type, [&](auto zero) {
    using T = decltype(zero);
    T* p = result.mutable_data<T>();
    for (int64_t i = 0, n = shape.numel(); i < n; ++i) {
      do p[i] = T(draw());
      while (double(p[i]) >= limit);
    }
  });
  return result;
}

}  // namespace

Tensor zeros(const Shape& shape, DType type) {
  Tensor result = Tensor::empty(shape, type);
  std::memset(result.raw(), 0, size_t(shape.numel()) * size_of(type));
  return result;
}

Tensor ones(const Shape& shape, DType type) { return full(shape, 1, type); }

Tensor full(const Shape& shape, double value, DType type) {
  Tensor result = Tensor::empty(shape, type);
  visit(type, [&](auto zero) {
    using T = decltype(zero);
    T* p = result.mutable_data<T>();
    T element = T(value);
    parallel_for(shape.numel(), 1 << 15, [=](int64_t begin, int64_t end) { std::fill(p + begin, p + end, element); });
  });
  return result;
}

Tensor zeros_like(const Tensor& x) {
  Tensor result = Tensor::empty(x.shape(), x.dtype(), x.layout());
  std::memset(result.raw(), 0, result.storage()->bytes());
  return result;
}

Tensor ones_like(const Tensor& x) { return ones(x.shape(), x.dtype()); }

Tensor arange(ArangeOptions range, DType type) {
  if (range.step == 0) fail("arange: step is 0");
  int64_t count = std::max<int64_t>(0, int64_t(std::ceil((range.end - range.start) / range.step)));
  Tensor result = Tensor::empty({count}, type);
  visit(type, [&](auto zero) {
    using T = decltype(zero);
    T* p = result.mutable_data<T>();
    for (int64_t i = 0; i < count; ++i) p[i] = T(range.start + double(i) * range.step);
  });
  return result;
}

Tensor randn(const Shape& shape, DType type) {
  Philox generator = next_generator();
  return randn(shape, generator, type);
}

Tensor randn(const Shape& shape, Philox& generator, DType type) {
  return drawn("randn", shape, type, INFINITY, [&] { return generator.normal(); });
}

Tensor uniform(const Shape& shape, UniformOptions range, DType type) {
  Philox generator = next_generator();
  return uniform(shape, range, generator, type);
}

Tensor uniform(const Shape& shape, UniformOptions range, Philox& generator, DType type) {
  if (!(range.low < range.high)) fail("uniform: low {} is not below high {}", range.low, range.high);
  return drawn("uniform", shape, type, range.high, [&] { return generator.uniform(range.low, range.high); });
}

}  // namespace az
