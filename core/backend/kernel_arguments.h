#pragma once

#include "core/backend/operands.h"
#include "core/kernels/batch_norm.h"
#include "core/kernels/image_shape.h"
#include "core/tensor/layout.h"

// Tensors as core/kernels takes them.
namespace az {

// The elements as they lie, in whatever layout; null for an undefined tensor. T is the tensor's number type.
template <class T> T* elements_of(const Tensor& x) { return x.defined() ? static_cast<T*>(x.raw()) : nullptr; }

// Returns what the kernels are told of images [n,c,h,w] in a layout, where nullptr is row-major.
inline ImageShape image_shape(const Shape& shape, const Layout* layout = nullptr) {
  return {shape[0], shape[1], shape[2], shape[3], block_of(layout, shape[1])};
}

// Returns what the kernels are told of a convolution of row-major images.
inline Conv2dShape conv_shape(const Shape& x, const Shape& weight, const Shape& y, const Conv2dParams& params) {
  return {image_shape(x), image_shape(y), {weight[2], weight[3]}, params};
}

// The statistics are left empty where they are undefined.
inline BatchNormChannels channels_of(const NormTensors& norm, double eps) {
  const auto values = [](const Tensor& x) { return x.defined() ? x.to_vector<double>() : std::vector<double>(); };
  return {{values(norm.mean), values(norm.var)}, norm.gamma.to_vector<double>(), norm.beta.to_vector<double>(), eps};
}

}  // namespace az
