#pragma once

#include <cstdint>

// Loops over contiguous memory, in parallel and for the widest instruction set of the processor.
namespace az {

void axpy(int64_t count, float scale, const float* x, float* y);  // y += scale * x
void axpy(int64_t count, double scale, const double* x, double* y);
void scale(int64_t count, float factor, float* x);  // x *= factor
void scale(int64_t count, double factor, double* x);
void add(int64_t count, const float* a, const float* b, float* y);              // y = a + b
void add_relu(int64_t count, const float* a, const float* b, float* y);         // y = max(a + b, 0)
void relu_backward(int64_t count, const float* y, const float* dy, float* dx);  // dx = y > 0 ? dy : 0

}  // namespace az
