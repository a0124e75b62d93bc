#pragma once

#include <vector>

#include "core/kernels/image_shape.h"

// What a convolution gives, summed over its result's channels, each times a factor of its own, in f64. It is computed as a
// convolution with one channel a group, from the sums of the weight or of g, and not from the result. All arrays are row-major;
// the sums do not depend on the number of threads.
namespace az::conv_sums {

// x [images,channels,plane], a factor a channel, summed over the channels of each group: [images,groups,plane]. T is float or
// bf16.
template <class T> std::vector<double> over_channels(const T* x, int64_t images, int64_t groups, int64_t plane,
                                                     const std::vector<double>& factors);

// y = (x convolved with weight) + bias + residual, factors [o]: [n,groups,h',w']. Bias and residual may be null.
struct Conv2dOperands {
  const float *x, *weight, *bias, *residual;
};
std::vector<double> of_y(const Conv2dShape& shape, const Conv2dOperands& operands, const std::vector<double>& factors);
// The gradient of x, where g is that of y, factors [c]: [n,groups,h,w].
std::vector<double> of_dx(const Conv2dShape& shape, const float* g, const float* weight, const std::vector<double>& factors);
// The gradient of the weight, factors [o]: [groups,c / groups,kernel.h,kernel.w].
std::vector<double> of_dw(const Conv2dShape& shape, const float* g, const float* x, const std::vector<double>& factors);

}  // namespace az::conv_sums
