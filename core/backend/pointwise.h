#pragma once

#include <array>
#include <tuple>

#include "core/backend/reorder.h"
#include "core/kernels/pointwise.h"
#include "core/kernels/vector.h"

// What works element by element: a function of numbers, run over whole tensors. The numbers are those of Compute<T>, or of
// Wider<T>, and the result is rounded to T once. The loops are core/kernels/pointwise.h's; here tensors are made and laid out
// for them. Nothing here is recorded for autograd.
namespace az {

// A function with f(0) = 0 may run on a tensor as it lies, channel padding included; any other where there is no padding. The
// result has the same layout.
enum class Zero { kept, moved };

inline int64_t elements_held(const Tensor& x) {
  return x.layout() ? int64_t(x.storage()->bytes() / size_of(x.dtype())) : x.numel();
}

inline bool is_padded(const Tensor& x) { return elements_held(x) != x.numel(); }

// run(count, elements of x, elements of more..., elements of the result), all as they lie in the layout of x, padding included.
template <class T, class Run, class... More> Tensor over_elements(Run run, const Tensor& x, const More&... more) {
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.layout());
  const std::array<Tensor, sizeof...(More)> lain{laid_out(more, x.layout())...};
  const auto elements = [](const Tensor& t) { return static_cast<const T*>(t.raw()); };
  std::apply([&](const auto&... others) { run(elements_held(y), elements(x), elements(others)..., static_cast<T*>(y.raw())); },
             lain);
  return y;
}

// Does the same for f32 and bf16, where `run` is a loop of core/kernels/vector.h.
template <class Run, class... More> Tensor over_lanes(Run run, const Tensor& x, const More&... more) {
  return visit_lanes(x.dtype(), [&](auto zero) { return over_elements<decltype(zero)>(run, x, more...); });
}

// f(x)
template <template <class> class Number = Compute, class F> Tensor map(const char* op, const Tensor& x, Zero zero_is, F f) {
  if (!is_float(x.dtype())) fail("{}: needs a floating type, got {}; convert with to()", op, describe(x));
  const Tensor from = zero_is == Zero::kept || !is_padded(x) ? x : x.plain();
  return visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    return over_elements<T>([=](int64_t count, const T* in, T* out) { map_elements<Number<T>>(count, in, out, f); }, from);
  });
}

// f(g, x) of two of one shape, in the layout of x; f(0, 0) is 0 or x is plain.
template <template <class> class Number = Compute, class F> Tensor map_pair(const Tensor& g, const Tensor& x, F f) {
  return visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto run = [=](int64_t count, const T* in, const T* up, T* out) { map_pairs<Number<T>>(count, up, in, out, f); };
    return over_elements<T>(run, x, g);
  });
}

// A row-major tensor, read as a shape that it broadcasts to.
template <class T> Repeated<T> repeated(const Tensor& x, const Shape& shape) {
  return {x.data<T>(), broadcast_strides(x.shape(), shape)};
}

// f(a, b, c) in Wider numbers over the shape that the three broadcast to.
template <class F> Tensor map_triple(const Tensor& a, const Tensor& b, const Tensor& c, F f) {
  const Shape shape = broadcast(broadcast(a.shape(), b.shape(), "map"), c.shape(), "map");
  const Tensor x = a.plain(), y = b.plain(), z = c.plain();
  Tensor value = Tensor::empty(shape, a.dtype());
  visit_float(a.dtype(), [&](auto zero) {
    using T = decltype(zero);
    map_broadcast<Wider<T>>(shape, repeated<T>(x, shape), repeated<T>(y, shape), repeated<T>(z, shape), value.mutable_data<T>(),
                            f);
  });
  return value;
}

// The shape that two tensors of one number type broadcast to.
inline Shape broadcast_of(const char* op, const Tensor& a, const Tensor& b) {
  Shape shape = broadcast(a.shape(), b.shape(), op);
  if (a.dtype() != b.dtype()) fail("{}: {} and {}: number types differ; convert one with to()", op, describe(a), describe(b));
  return shape;
}

// Equal shapes in one layout can be walked as they lie, padding included.
inline bool alike(const Tensor& a, const Tensor& b) { return a.shape() == b.shape() && a.layout() == b.layout(); }

// y = f(a, b) of two row-major tensors over the shape that they broadcast to; To is T or a mask's uint8_t.
template <class To, class T, class F> Tensor zip(const Tensor& a, const Tensor& b, const Shape& shape, F f) {
  Tensor y = Tensor::empty(shape, dtype_of<To>);
  map_broadcast(shape, repeated<T>(a, shape), repeated<T>(b, shape), y.mutable_data<To>(), f);
  return y;
}

// f(a, b) over the shape that they broadcast to. f keeps f(0, 0) = 0, so that it may run on a blocked layout's padding.
template <class F> Tensor arithmetic(const char* op, const Tensor& a, const Tensor& b, F f) {
  Shape shape = broadcast_of(op, a, b);
  if (a.dtype() == DType::u8) fail("{}: u8 has no arithmetic; convert with to()", op);
  const bool as_it_lies = alike(a, b) && a.layout();
  Tensor pa = as_it_lies ? a : a.plain(), pb = as_it_lies ? b : b.plain();
  auto on = [&](auto zero) {
    using T = decltype(zero);
    if (!as_it_lies) return zip<T, T>(pa, pb, shape, f);
    const auto run = [=](int64_t count, const T* x1, const T* x2, T* out) { map_pairs<Compute<T>>(count, x1, x2, out, f); };
    return over_elements<T>(run, a, b);
  };
  return a.dtype() == DType::i64 ? on(int64_t{}) : visit_float(a.dtype(), on);
}

}  // namespace az
