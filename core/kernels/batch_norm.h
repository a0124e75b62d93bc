#pragma once

#include <vector>

#include "core/kernels/image_shape.h"

// Batch norm of images in any block of channels, in two passes over memory each way: sums, then elements. The residual, the
// ReLU and the sum of two gradients are taken along. T is float or bf16; elements are computed in f32, long sums in f64.
namespace az {

// The statistics of each channel over n, h and w, [c] each; the variance is biased: divided by n h w.
struct BatchNormStatistics {
  std::vector<double> mean, var;
};
// What a batch norm does to each channel, [c] each: norm(x) = (x - mean) / sqrt(var + eps) * gamma + beta.
struct BatchNormChannels {
  BatchNormStatistics statistics;
  std::vector<double> gamma, beta;
  double eps;
};
// The gradients of gamma and beta, [c] each.
struct BatchNormChannelGradients {
  std::vector<double> gamma, beta;
};

// y = norm(x) + residual, then max(y, 0) where `relu` is set, NaN kept. All are laid out as the shape says.
template <class T> struct BatchNormArrays {
  const T *x, *residual;  // residual may be null: none is added
  T* y;
  bool relu;
};
// The gradient of y is g + more. What passes the ReLU of it is `passed`, also the gradient of the residual; dx is that of x.
// `passed` and dx may each be the memory of g or of more, also both the same.
template <class T> struct BatchNormGradientArrays {
  const T *g, *more;  // more may be null: the gradient is g
  const T *x, *y;     // y: the result; null where nothing was added before the ReLU
  bool relu;
  T* passed;  // may be null where `more` and `y` are
  T* dx;
};

// The statistics of x. They are precise also where the mean is large beside the standard deviation, or `var` is outside the
// range of f32; a variance that is small beside eps need not be.
template <class T> BatchNormStatistics batch_norm_statistics(const T* x, const ImageShape& shape, double eps);

// Writes y, by the statistics in `channels`.
template <class T>
void batch_norm_forward(const BatchNormArrays<T>& arrays, const ImageShape& shape, const BatchNormChannels& channels);

// With xhat = (x - mean) / sqrt(var + eps), over the m = n h w values of a channel, g being what passes the ReLU:
// dbeta = sum g, dgamma = sum g xhat, dx = gamma / sqrt(var + eps) (g - (dbeta + xhat dgamma) / m).
// Where the statistics are constants (training = false), the terms over m vanish.
template <class T> BatchNormChannelGradients batch_norm_backward(const BatchNormGradientArrays<T>& arrays,
                                                                 const ImageShape& shape, const BatchNormChannels& channels,
                                                                 bool training);

}  // namespace az
