#pragma once

#include <cstdint>

#include "core/tensor/dtype.h"

// Loops over contiguous memory, in parallel and for the widest instruction set of the processor. T is float or bf16, of axpy
// and scale also double; bf16 is computed in f32 and rounded once.
namespace az {

// Calls f with a value of the C++ type behind f32 or bf16, which in_lanes() tells from the others.
constexpr bool in_lanes(DType type) { return type == DType::f32 || type == DType::bf16; }
template <class F> decltype(auto) visit_lanes(DType type, F&& f) { return type == DType::bf16 ? f(bf16{}) : f(float{}); }

template <class T> void axpy(int64_t count, double alpha, const T* x, T* y);  // y += alpha * x
template <class T> void scale(int64_t count, double factor, T* x);            // x *= factor
// y[r, i] = factors[r] * x[r, i] for i < length.
void scale_rows(int64_t rows, int64_t length, const float* factors, const float* x, float* y);
template <class T> void add(int64_t count, const T* a, const T* b, T* y);                 // y = a + b
template <class T> void add_relu(int64_t count, const T* a, const T* b, T* y);            // y = max(a + b, 0), NaN kept
template <class T> void relu(int64_t count, const T* x, T* y);                            // y = max(x, 0), NaN kept
template <class From, class To> void convert_lanes(int64_t count, const From* x, To* y);  // y = x, between float and bf16

// y = x Phi(x) and dx = dy (Phi(x) + x phi(x)), Phi and phi being the standard normal distribution's function and density; each
// factor within a few roundings (bf16: before the last one) for |x| < 12.9, more beyond. T: float, bf16 or double.
template <class T> void gelu(int64_t count, const T* x, T* y);
template <class T> void gelu_backward(int64_t count, const T* x, const T* dy, T* dx);

}  // namespace az
