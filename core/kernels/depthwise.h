#pragma once

#include "core/kernels/epilogue.h"

// Depthwise convolutions, where each channel has a window of its own: groups are as many as channels of the input and of the
// result. Windows, strides, paddings and dilations are any. Images and their gradients are T, float or bf16; weights are f32,
// and so is all that is computed: bf16 is widened when loaded and rounded once, when stored. Images are taken in blocks of
// channels, W at a time, row by row: the rows under the window are copied to a core's nearest cache, widened and between zeros
// where the window reaches beyond the image. The results do not depend on the number of threads.
//
// A result, or a gradient of images, is a sum of at most kernel.h * kernel.w products, each term rounded once or twice: its
// error is at most (kernel.h * kernel.w + 1) u times the sum of the products' sizes, u = 2^-24 (Higham 2002, section 3.1). The
// gradient of a weight sums rows in f32 and images in f64: h' + w' / 4 + 8 in place of the window's size + 1. Beyond the
// first and the last column lie zeros that are multiplied, too: a weight that is infinite or NaN makes NaN of all pixels whose
// window reaches there, such a gradient of a pixel makes NaN of the gradients of its window's weights.
namespace az::depthwise {

// Says whether the kernels compute a problem: each channel is a group of its own, the window has 64 taps or fewer, the rows
// that lie under it stay in a core's own cache, and images lie in blocks of a multiple of `width` channels. That is the width
// of the vectors that they are to use, 16, 8 or 4: simd_width() or less.
bool takes(const Conv2dShape& shape, int width);

// How many images the kernels' code depends on: with more, the same loops only run more often.
int64_t images_to_try(const Conv2dShape& shape);

// Floats that a packed weight takes.
int64_t packed_size(const Conv2dShape& shape);
// weight [c,1,kh,kw], each channel's multiplied by scale [c], or by 1 where that is nullptr, as all directions want it.
void pack(const float* weight, const float* scale, const Conv2dShape& shape, int width, float* packed);

// y = x * weight, laid out as the shape says. Stored past the caches, results took a third longer.
template <class T>
void forward(const T* x, const float* packed, const Epilogue<T>& then, T* y, const Conv2dShape& shape, int width);
template <class T> void backward_data(const T* g, const float* packed, T* dx, const Conv2dShape& shape, int width);
// dw [c,1,kh,kw] = sum over images and pixels of g x.
template <class T> void backward_weights(const T* x, const T* g, float* dw, const Conv2dShape& shape, int width);

}  // namespace az::depthwise
