#pragma once

#include <array>
#include <tuple>

#include "core/backend/reorder.h"
#include "core/base/simd.h"
#include "core/base/threads.h"
#include "core/kernels/strided.h"
#include "core/kernels/vector.h"
#include "core/kernels/vector_math.h"

// What works element by element: a function of numbers, run over whole tensors. The numbers are those of Compute<T>, or of
// Wider<T>, and the result is rounded to T once. Nothing here is recorded for autograd.
namespace az {

constexpr int64_t pointwise_grain = 1 << 14;

// A function with f(0) = 0 may run on a tensor as it lies, channel padding included; the result has the same layout.
enum class Zero { kept, moved };

inline int64_t elements_held(const Tensor& x) {
  return x.layout() ? int64_t(x.storage()->bytes() / size_of(x.dtype())) : x.numel();
}

// run(count, elements of x, elements of more..., elements of the result), all as they lie in the layout of x, padding included.
template <class T, class Run, class... More> Tensor over_elements(Run run, const Tensor& x, const More&... more) {
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.layout());
  const std::array<Tensor, sizeof...(More)> lain{laid_out(more, x.layout())...};
  const auto elements = [](const Tensor& t) { return static_cast<const T*>(t.raw()); };
  std::apply([&](const auto&... others) { run(elements_held(y), elements(x), elements(others)..., static_cast<T*>(y.raw())); },
             lain);
  return y;
}

// The same for f32 and bf16, by a loop of core/kernels/vector.h.
template <class Run, class... More> Tensor over_lanes(Run run, const Tensor& x, const More&... more) {
  return visit_lanes(x.dtype(), [&](auto zero) { return over_elements<decltype(zero)>(run, x, more...); });
}

template <class Number, class T, class F> AZ_MULTIVERSION void map_range(int64_t n, const T* x, T* y, F f) {
  for (int64_t i = 0; i < n; ++i) y[i] = T(f(Number(x[i])));
}
template <class Number, class T, class F> AZ_MULTIVERSION void pair_range(int64_t n, const T* g, const T* x, T* y, F f) {
  for (int64_t i = 0; i < n; ++i) y[i] = T(f(Number(g[i]), Number(x[i])));
}

// f(x)
template <template <class> class Number = Compute, class F> Tensor map(const char* op, const Tensor& x, Zero zero_is, F f) {
  if (!is_float(x.dtype())) fail("{}: needs a floating type, got {}; convert with to()", op, describe(x));
  const Tensor from = zero_is == Zero::kept ? x : x.plain();
  return visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto run = [&](int64_t count, const T* in, T* out) {
      parallel_for(count, pointwise_grain,
                   [=](int64_t begin, int64_t end) { map_range<Number<T>>(end - begin, in + begin, out + begin, f); });
    };
    return over_elements<T>(run, from);
  });
}

// f(g, x) of two of one shape, in the layout of x; f(0, 0) is 0 or x is plain.
template <template <class> class Number = Compute, class F> Tensor map_pair(const Tensor& g, const Tensor& x, F f) {
  return visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto run = [&](int64_t count, const T* in, const T* up, T* out) {
      parallel_for(count, pointwise_grain, [=](int64_t begin, int64_t end) {
        pair_range<Number<T>>(end - begin, up + begin, in + begin, out + begin, f);
      });
    };
    return over_elements<T>(run, x, g);
  });
}

template <class Number, class T, class F>
AZ_MULTIVERSION void triple_range(const Walk::Offsets& step, int64_t n, const T* a, const T* b, const T* c, T* y, F f) {
  if (step[0] == 1 && step[1] == 1 && step[2] == 1)
    for (int64_t i = 0; i < n; ++i) y[i] = T(f(Number(a[i]), Number(b[i]), Number(c[i])));
  else if (step[0] == 1 && step[1] == 1 && step[2] == 0)
    for (int64_t i = 0; i < n; ++i) y[i] = T(f(Number(a[i]), Number(b[i]), Number(*c)));
  else
    for (int64_t i = 0; i < n; ++i) y[i] = T(f(Number(a[i * step[0]]), Number(b[i * step[1]]), Number(c[i * step[2]])));
}

// f(a, b, c) in Wider numbers over the shape that the three broadcast to.
template <class F> Tensor map_triple(const Tensor& a, const Tensor& b, const Tensor& c, F f) {
  const Shape shape = broadcast(broadcast(a.shape(), b.shape(), "map"), c.shape(), "map");
  const Tensor x = a.plain(), y = b.plain(), z = c.plain();
  Tensor value = Tensor::empty(shape, a.dtype());
  Walk walk(shape, {broadcast_strides(a.shape(), shape), broadcast_strides(b.shape(), shape),
                    broadcast_strides(c.shape(), shape), shape.strides()});
  visit_float(a.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T *p = x.data<T>(), *q = y.data<T>(), *r = z.data<T>();
    T* out = value.mutable_data<T>();
    walk.run([&](const Walk::Offsets& at, int64_t n) {
      triple_range<Wider<T>>(walk.step, n, p + at[0], q + at[1], r + at[2], out + at[3], f);
    });
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

template <class To, class T, class F>
AZ_MULTIVERSION void broadcast_range(const T* a, int64_t a_step, const T* b, int64_t b_step, To* y, int64_t count, F f) {
  using C = Compute<T>;
  if (a_step && b_step)
    for (int64_t i = 0; i < count; ++i) y[i] = To(f(C(a[i]), C(b[i])));
  else if (a_step)
    for (int64_t i = 0; i < count; ++i) y[i] = To(f(C(a[i]), C(*b)));
  else
    for (int64_t i = 0; i < count; ++i) y[i] = To(f(C(*a), C(b[i * b_step])));
}

// y = f(a, b) of two row-major tensors over the shape that they broadcast to; To is T or a mask's uint8_t.
template <class To, class T, class F> Tensor zip(const Tensor& a, const Tensor& b, const Shape& shape, F f) {
  Tensor y = Tensor::empty(shape, dtype_of<To>);
  To* out = y.mutable_data<To>();
  const T *pa = a.data<T>(), *pb = b.data<T>();
  Walk walk(shape, {broadcast_strides(a.shape(), shape), broadcast_strides(b.shape(), shape), shape.strides()});
  walk.run([&](const Walk::Offsets& at, int64_t n) {
    broadcast_range(pa + at[0], walk.step[0], pb + at[1], walk.step[1], out + at[2], n, f);
  });
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
    return over_elements<T>(
        [&](int64_t count, const T* x1, const T* x2, T* out) {
          parallel_for(count, pointwise_grain, [=](int64_t begin, int64_t end) {
            broadcast_range(x1 + begin, 1, x2 + begin, 1, out + begin, end - begin, f);
          });
        },
        a, b);
  };
  return a.dtype() == DType::i64 ? on(int64_t{}) : visit_float(a.dtype(), on);
}

}  // namespace az
