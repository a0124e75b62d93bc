#pragma once

#include "core/tensor.h"

namespace az {

// Bytes that elements of `shape` take in `layout` (padding included).
size_t layout_bytes(const Shape& shape, DType type, const Layout* layout);

// A copy of x with its elements laid out as in `layout` (nullptr: row-major). Not recorded for autograd.
Tensor reorder(const Tensor& x, const Layout* layout);
// x itself when its elements already lie as in `layout`, else such a copy.
Tensor laid_out(const Tensor& x, const Layout* layout);
// Copies x's elements into `into` (same shape and number type), whatever the two layouts.
void reorder_into(const Tensor& x, const Tensor& into);

// The width of the blocks where an [n,c,h,w] lies as [n, blocks of channels, h, w, channels of a block], the last block padded: 1 is
// row-major, c is channels last. 0 for a layout of another kind.
int64_t channel_block(const Tensor& x);
// The layout of which that is `block`.
const Layout* blocked_layout(const Shape& shape, DType type, int64_t block);

// Reorders of activations and weights done since the program started.
uint64_t reorder_count();

}  // namespace az
