#pragma once

#include "core/kernels/image_shape.h"

// Max pooling of images in any block of channels. T is float or bf16.
namespace az {

// Bytes of a place: where in its window, row by row, an element was found. 1, or 4 for windows of more than 256 elements.
int64_t place_bytes(const Pool2dParams& params);

// y = the largest x of each window, the first of equal ones, or its last NaN; `places` of them [y's planes, h', w', block].
template <class T> void max_pool_forward(const Pool2dShape& shape, const T* x, T* y, void* places);
// dx = for each x, the sum of the gradients g of the windows in which it was found.
template <class T> void max_pool_backward(const Pool2dShape& shape, const T* g, const void* places, T* dx);

}  // namespace az
