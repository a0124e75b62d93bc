#pragma once

#include "core/kernels/epilogue.h"
#include "core/tensor/dtype.h"

// Convolutions with a 3x3 kernel and no stride, dilation or groups, by Winograd's F(4x4, 3x3): 36 products of matrices for
// what takes 144 one by one (Lavin and Gray, arXiv 1509.09308). Images and their gradients are T, float or bf16; weights are
// f32. What is computed is f32, bf16 being widened when loaded and rounded once, when stored; or the products are of bf16,
// summed in f32, where Vectors say so. Images are taken in blocks of channels, tile by tile: a few tiles are transformed,
// multiplied and transformed back before the next ones, so that what is between stays in a core's cache up to about 128
// channels, and in the shared one beyond. Where the transformed weight is large, that is done for one group of outputs after
// the other. The results do not depend on the number of threads.
//
// The transforms add up numbers of up to a hundred times the size of the result. With standard normal operands, results and
// gradients of images differ from f64's by 1e-6 of their norm at 16 to 64 channels and by 5e-6 at 512, before they are rounded
// to bf16; gradients of weights by less than 3e-6. With products of bf16 all three differ by 2e-2 to 3e-2, where a direct
// convolution in bf16 is within 3e-3: three trainings of ResNet-20 lost no accuracy that could be seen by it
// (experiments/results/cifar10_resnet20). A NaN or an infinity makes NaN of all 4x4 pixels of the tiles that it is in.
namespace az::winograd {

// How they compute: by vectors of so many floats, 16, 8 or 4; with `of_bf16`, transformed images and weights are rounded to
// bf16 and their products summed in f32, which takes multiplies_bf16() and vectors of 16. Images of float are never rounded.
struct Vectors {
  int width;
  bool of_bf16 = false;
};

// Says whether the kernels compute a problem: it is a convolution as above, and images lie in blocks of a multiple of `width`
// channels. That is the width of the vectors that they are to use, 16, 8 or 4: simd_width() or less.
bool takes(const Conv2dShape& shape, const Vectors& vectors);

// Says whether enough tiles share a transformed weight, eight or more, for this to save more time than it takes.
bool is_worth_transforming(const Conv2dShape& shape);

// How many images the kernels' code depends on, with numbers of so many bytes: with more, the same loops only run more often.
int64_t images_to_try(const Conv2dShape& shape, size_t number);

// y = x * weight, laid out as the shape says, y from a multiple of 16 bytes on, as dx below; weight [o,i,3,3], each output's
// multiplied by scale [o], or by 1 where that is nullptr. `scratch` has scratch_size() floats. The weight is transformed at
// each use: training changes it in between, and for evaluation four times its size would have to be kept.
template <class T> void forward(const T* x, const float* weight, const float* scale, const Epilogue<T>& then, T* y,
                                const Conv2dShape& shape, const Vectors& vectors, float* scratch);
// dx = g * (weight turned by half a turn, its channels exchanged).
template <class T>
void backward_data(const T* g, const float* weight, T* dx, const Conv2dShape& shape, const Vectors& vectors, float* scratch);
// More on more threads: thread_count() may not change before it is used. Likewise below.
int64_t scratch_size(const Conv2dShape& shape, const Vectors& vectors);

// dw [o,i,3,3] = sum over images and pixels of x and g: G^T (sum over tiles of (B^T x B) (A g A^T)) G.
template <class T>
void backward_weights(const T* x, const T* g, float* dw, const Conv2dShape& shape, const Vectors& vectors, float* scratch);
int64_t weights_scratch_size(const Conv2dShape& shape, const Vectors& vectors);

}  // namespace az::winograd
