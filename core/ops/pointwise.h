#pragma once

#include "core/autograd.h"
#include "core/backend/layout.h"
#include "core/backend/strided.h"
#include "core/backend/threads.h"
#include "core/backend/vector_math.h"

// How ops are written that work element by element: a function of numbers, run over whole tensors. The numbers are those of
// Compute<T>, or of Wider<T>, and the result is rounded to T once.
namespace az {

constexpr int64_t pointwise_grain = 1 << 14;

// A function with f(0) = 0 may run on a tensor as it lies, channel padding included; the result has the same layout.
enum class Zero { kept, moved };

inline int64_t elements_held(const Tensor& x) {
  return x.layout() ? int64_t(x.storage()->bytes() / size_of(x.dtype())) : x.numel();
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
  Tensor from = zero_is == Zero::kept ? x : x.plain();
  Tensor y = Tensor::empty(x.shape(), x.dtype(), from.layout());
  visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* in = static_cast<const T*>(from.raw());
    T* out = static_cast<T*>(y.raw());
    parallel_for(elements_held(y), pointwise_grain,
                 [=](int64_t begin, int64_t end) { map_range<Number<T>>(end - begin, in + begin, out + begin, f); });
  });
  return y;
}

// f(g, x) of two of one shape, in the layout of x; f(0, 0) is 0 or x is plain.
template <template <class> class Number = Compute, class F> Tensor map_pair(const Tensor& g, const Tensor& x, F f) {
  Tensor from = laid_out(g, x.layout()), y = Tensor::empty(x.shape(), x.dtype(), x.layout());
  visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T *up = static_cast<const T*>(from.raw()), *in = static_cast<const T*>(x.raw());
    T* out = static_cast<T*>(y.raw());
    parallel_for(elements_held(y), pointwise_grain,
                 [=](int64_t begin, int64_t end) { pair_range<Number<T>>(end - begin, up + begin, in + begin, out + begin, f); });
  });
  return y;
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
  Walk walk(shape, {broadcast_strides(a.shape(), shape), broadcast_strides(b.shape(), shape), broadcast_strides(c.shape(), shape),
                    shape.strides()});
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

// How a gradient passes an op y = f(x): slope(g, x) = g f'(x) in one kernel. `second` makes h f''(x) of ops, from h and x.
template <template <class> class Number, class Slope, class Second>
auto chain(const char* name, const Tensor& g, const Tensor& x, Slope slope, Second second) -> Tensor {
  return record(name, map_pair<Number>(g, x, slope), {g, x}, saved(g, x), ByOps{[=](const Back& k) {
                  const Tensor &up = k.saved[0], &at = k.saved[1];
                  return Grads{k.needs(0) ? chain<Number>(name, k.g, at, slope, second) : Tensor(),
                               k.needs(1) ? second(k.g * up, at) : Tensor()};
                }});
}

// The same where f' is constant in pieces: pass(g, x), linear in g.
template <class Pass> Tensor pass_by(const char* name, const Tensor& g, const Tensor& x, Pass pass) {
  return record(name, map_pair(g, x, pass), {g}, saved(x.detach()),
                ByOps{[=](const Back& k) { return Grads{pass_by(name, k.g, k.saved[0], pass)}; }});
}

}  // namespace az
