#pragma once

#include "core/tensor.h"

namespace az {

// Bytes that elements of `shape` take in `layout` (padding included).
size_t layout_bytes(const Shape& shape, DType type, const Layout* layout);

// A copy of x with its elements laid out as in `layout` (nullptr: row-major). Not recorded for autograd.
Tensor reorder(const Tensor& x, const Layout* layout);
// Copies x's elements into `into` (same shape and number type), whatever the two layouts.
void reorder_into(const Tensor& x, const Tensor& into);

// Reorders of activations and weights done since the program started.
uint64_t reorder_count();

}  // namespace az
