#pragma once

#include "core/kernels/batch_norm.h"
#include "core/kernels/image_shape.h"

// Plain loops in f64 over row-major images: slow, and simple enough to trust. Results are written, whatever was there.
namespace az::reference {

// c [m,n] = alpha op(a) op(b) + beta c, row-major, op(x) = x or its transpose; a, b and c have rows lda, ldb and ldc elements
// apart. c is not read where beta is 0.
using Gemm = void (*)(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, double alpha, const double* a,
                      int64_t lda, const double* b, int64_t ldb, double beta, double* c, int64_t ldc);

// y = scale * (x convolved with weight) + bias + residual, then max(y, 0) where `relu` is set, NaN kept; scale and bias [o],
// the residual of y's shape. Null stands for a scale of 1, no bias, no residual.
struct Conv2dArrays {
  const double *x, *weight, *bias, *scale, *residual;
  bool relu;
  double* y;
};
void conv2d(const Conv2dShape& shape, const Conv2dArrays& arrays, Gemm gemm);
// dx = the gradient of x, where g is that of the convolution.
void conv2d_backward_data(const Conv2dShape& shape, const double* g, const double* weight, double* dx, Gemm gemm);
// The gradients of weight and bias; that of bias may be null.
struct Conv2dGradientArrays {
  const double *g, *x;
  double *dweight, *dbias;
};
void conv2d_backward_weights(const Conv2dShape& shape, const Conv2dGradientArrays& arrays, Gemm gemm);

// These two compute what batch_norm_forward and batch_norm_backward in batch_norm.h do, with sums in long double. In training
// the statistics are taken from x, and those in `channels` are not read. The first returns the statistics that it used. The
// backward pass needs `passed`.
BatchNormStatistics batch_norm(const BatchNormArrays<double>& arrays, const ImageShape& shape,
                               const BatchNormChannels& channels, bool training);
BatchNormChannelGradients batch_norm_backward(const BatchNormGradientArrays<double>& arrays, const ImageShape& shape,
                                              const BatchNormChannels& channels, bool training);

// y = the largest x of each window, the first of equal ones, or its last NaN; indices of these elements in x.
void max_pool(const Pool2dShape& shape, const double* x, double* y, int64_t* indices);
void max_pool_backward(const Pool2dShape& shape, const double* g, const int64_t* indices, double* dx);
// y = the mean of each window, padding counted as zeros.
void avg_pool(const Pool2dShape& shape, const double* x, double* y);
void avg_pool_backward(const Pool2dShape& shape, const double* g, double* dx);

}  // namespace az::reference
