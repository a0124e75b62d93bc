#pragma once

#include "core/base/threads.h"
#include "core/kernels/strided.h"
#include "core/kernels/vector_math.h"
#include "core/kernels/widest.h"

// A function of numbers, run over whole arrays, in parallel and, of f32 and bf16, for the widest instruction set of the
// processor. The numbers
// that f gets are of type Number, or Compute<T>; the result is rounded to the array's type once. Of arrays of the same length
// the result may be one that is read.
namespace az {

constexpr int64_t pointwise_grain = 1 << 14;

template <class Number, class T, class F> void map_range(int64_t n, const T* x, T* y, F f) {
  run_widest<T>([=]() AZ_INLINED {
    AZ_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) y[i] = T(f(Number(x[i])));
  });
}
template <class Number, class T, class F> void pair_range(int64_t n, const T* g, const T* x, T* y, F f) {
  run_widest<T>([=]() AZ_INLINED {
    AZ_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) y[i] = T(f(Number(g[i]), Number(x[i])));
  });
}
// Element i of each array lies at i times its step.
template <class Number, class T, class F>
void triple_range(const Walk::Offsets& step, int64_t n, const T* a, const T* b, const T* c, T* y, F f) {
  run_widest<T>([=, a_step = step[0], b_step = step[1], c_step = step[2]]() AZ_INLINED {
    if (a_step == 1 && b_step == 1 && c_step == 1)
      for (int64_t i = 0; i < n; ++i) y[i] = T(f(Number(a[i]), Number(b[i]), Number(c[i])));
    else if (a_step == 1 && b_step == 1 && c_step == 0)
      for (int64_t i = 0; i < n; ++i) y[i] = T(f(Number(a[i]), Number(b[i]), Number(*c)));
    else
      for (int64_t i = 0; i < n; ++i) y[i] = T(f(Number(a[i * a_step]), Number(b[i * b_step]), Number(c[i * c_step])));
  });
}
template <class To, class T, class F>
void broadcast_range(const T* a, int64_t a_step, const T* b, int64_t b_step, To* y, int64_t count, F f) {
  using C = Compute<T>;
  run_widest<T>([=]() AZ_INLINED {
    if (a_step && b_step)
      for (int64_t i = 0; i < count; ++i) y[i] = To(f(C(a[i]), C(b[i])));
    else if (a_step)
      for (int64_t i = 0; i < count; ++i) y[i] = To(f(C(a[i]), C(*b)));
    else
      for (int64_t i = 0; i < count; ++i) y[i] = To(f(C(*a), C(b[i * b_step])));
  });
}

// y = f(x)
template <class Number, class T, class F> void map_elements(int64_t count, const T* x, T* y, F f) {
  parallel_for(count, pointwise_grain,
               [=](int64_t begin, int64_t end) { map_range<Number>(end - begin, x + begin, y + begin, f); });
}
// y = f(g, x)
template <class Number, class T, class F> void map_pairs(int64_t count, const T* g, const T* x, T* y, F f) {
  parallel_for(count, pointwise_grain,
               [=](int64_t begin, int64_t end) { pair_range<Number>(end - begin, g + begin, x + begin, y + begin, f); });
}

// An array that is read as a larger shape, by strides of 0 along the axes where it repeats.
template <class T> struct Repeated {
  const T* from;
  Strides strides;
};
// y = f(a, b) over a shape; y is row-major.
template <class T, class To, class F>
void map_broadcast(const Shape& shape, const Repeated<T>& a, const Repeated<T>& b, To* y, F f) {
  const Walk walk(shape, {a.strides, b.strides, shape.strides()});
  walk.run([&](const Walk::Offsets& at, int64_t n) {
    broadcast_range(a.from + at[0], walk.step[0], b.from + at[1], walk.step[1], y + at[2], n, f);
  });
}
// Does the same with three arrays: y = f(a, b, c).
template <class Number, class T, class F>
void map_broadcast(const Shape& shape, const Repeated<T>& a, const Repeated<T>& b, const Repeated<T>& c, T* y, F f) {
  const Walk walk(shape, {a.strides, b.strides, c.strides, shape.strides()});
  walk.run([&](const Walk::Offsets& at, int64_t n) {
    triple_range<Number>(walk.step, n, a.from + at[0], b.from + at[1], c.from + at[2], y + at[3], f);
  });
}

}  // namespace az
