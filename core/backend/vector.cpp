#include "core/backend/vector.h"

#include "core/backend/threads.h"

namespace az {
namespace {

constexpr int64_t grain = 1 << 15;

AZ_MULTIVERSION void axpy_range(int64_t n, float s, const float* __restrict x, float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] += s * x[i];
}
AZ_MULTIVERSION void axpy_range(int64_t n, double s, const double* __restrict x, double* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] += s * x[i];
}
AZ_MULTIVERSION void add_range(int64_t n, const float* a, const float* b, float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
}
AZ_MULTIVERSION void add_relu_range(int64_t n, const float* a, const float* b, float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = a[i] + b[i] < 0 ? 0 : a[i] + b[i];  // NaN stays
}
AZ_MULTIVERSION void relu_backward_range(int64_t n, const float* y, const float* dy, float* __restrict dx) {
  for (int64_t i = 0; i < n; ++i) dx[i] = y[i] > 0 ? dy[i] : 0;
}

template <class T> void scale_all(int64_t count, T factor, T* x) {
  parallel_for(count, grain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) x[i] *= factor;
  });
}

}  // namespace

void axpy(int64_t count, float s, const float* x, float* y) {
  parallel_for(count, grain, [=](int64_t begin, int64_t end) { axpy_range(end - begin, s, x + begin, y + begin); });
}
void axpy(int64_t count, double s, const double* x, double* y) {
  parallel_for(count, grain, [=](int64_t begin, int64_t end) { axpy_range(end - begin, s, x + begin, y + begin); });
}
void scale(int64_t count, float factor, float* x) { scale_all(count, factor, x); }
void scale(int64_t count, double factor, double* x) { scale_all(count, factor, x); }
void add(int64_t count, const float* a, const float* b, float* y) {
  parallel_for(count, grain, [=](int64_t begin, int64_t end) { add_range(end - begin, a + begin, b + begin, y + begin); });
}
void add_relu(int64_t count, const float* a, const float* b, float* y) {
  parallel_for(count, grain, [=](int64_t begin, int64_t end) { add_relu_range(end - begin, a + begin, b + begin, y + begin); });
}
void relu_backward(int64_t count, const float* y, const float* dy, float* dx) {
  parallel_for(count, grain,
               [=](int64_t begin, int64_t end) { relu_backward_range(end - begin, y + begin, dy + begin, dx + begin); });
}

}  // namespace az
