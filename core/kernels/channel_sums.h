#pragma once

#include <vector>

#include "core/kernels/image_shape.h"

namespace az {

// The sum of each channel over n, h and w, [c], in f64, of images in blocks of channels. T: float or bf16.
template <class T> std::vector<float> channel_sums(const T* x, const ImageShape& shape);

}  // namespace az
