#include "core/kernels/vector.h"

#include <algorithm>

#include "core/base/simd.h"
#include "core/base/threads.h"
#include "core/kernels/lanes.h"
#include "core/kernels/pointwise.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // as in lanes.h

namespace az {
namespace {

constexpr int64_t grain = 1 << 15;

template <class T> AZ_MULTIVERSION void axpy_range(int64_t n, float s, const T* x, T* y) {
  each_lanes(n, [&](int64_t i, auto part) AZ_INLINED { store(y + i, part, load(y + i, part) + s * load(x + i, part)); });
}
AZ_MULTIVERSION void axpy_range(int64_t n, double s, const double* __restrict x, double* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] += s * x[i];
}
template <class T> AZ_MULTIVERSION void scale_range(int64_t n, float factor, T* x) {
  each_lanes(n, [&](int64_t i, auto part) AZ_INLINED { store(x + i, part, factor * load(x + i, part)); });
}
AZ_MULTIVERSION void scale_range(int64_t n, double factor, double* x) {
  for (int64_t i = 0; i < n; ++i) x[i] *= factor;
}
template <class From, class To> AZ_MULTIVERSION void convert_range(int64_t n, const From* x, To* y) {
  each_lanes(n, [&](int64_t i, auto part) AZ_INLINED { store(y + i, part, load(x + i, part)); });
}

}  // namespace

template <class T> void axpy(int64_t count, double s, const T* x, T* y) {
  parallel_for(count, grain, [=](int64_t begin, int64_t end) { axpy_range(end - begin, Compute<T>(s), x + begin, y + begin); });
}
template <class T> void scale(int64_t count, double factor, T* x) {
  parallel_for(count, grain, [=](int64_t begin, int64_t end) { scale_range(end - begin, Compute<T>(factor), x + begin); });
}
void scale_rows(int64_t rows, int64_t length, const float* factors, const float* x, float* y) {
  parallel_for(rows, std::max<int64_t>(1, (grain / 2) / std::max<int64_t>(1, length)), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t i = r * length; i < (r + 1) * length; ++i) y[i] = x[i] * factors[r];
    }
  });
}
template <class T> void add(int64_t count, const T* a, const T* b, T* y) {
  map_pairs<Compute<T>>(count, a, b, y, [](auto p, auto q) { return p + q; });
}
template <class T> void add_relu(int64_t count, const T* a, const T* b, T* y) {
  map_pairs<Compute<T>>(count, a, b, y, [](auto p, auto q) { return p + q < 0 ? 0 : p + q; });
}
template <class T> void relu(int64_t count, const T* x, T* y) {
  map_elements<Compute<T>>(count, x, y, [](auto v) { return v < 0 ? 0 : v; });
}
template <class From, class To> void convert_lanes(int64_t count, const From* x, To* y) {
  parallel_for(count, grain, [=](int64_t begin, int64_t end) { convert_range(end - begin, x + begin, y + begin); });
}

#define AZ_FOR(T)                                          \
  template void axpy(int64_t, double, const T*, T*);       \
  template void scale(int64_t, double, T*);                \
  template void add(int64_t, const T*, const T*, T*);      \
  template void add_relu(int64_t, const T*, const T*, T*); \
  template void relu(int64_t, const T*, T*);
AZ_FOR(float)
AZ_FOR(bf16)
#undef AZ_FOR
template void axpy(int64_t, double, const double*, double*);
template void scale(int64_t, double, double*);
template void convert_lanes(int64_t, const float*, bf16*);
template void convert_lanes(int64_t, const bf16*, float*);

}  // namespace az
