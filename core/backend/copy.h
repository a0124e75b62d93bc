#pragma once

#include "core/kernels/strided.h"
#include "core/tensor/tensor.h"

namespace az {

// Elements of a row-major tensor: of an array that starts at element `offset` and has these strides.
struct Strided {
  Tensor tensor;
  Strides strides;
  int64_t offset = 0;
};
// Copies the elements of an array of `shape`, from one tensor to another of the same number type.
void copy_elements(const Shape& shape, const Strided& from, const Strided& into);

}  // namespace az
