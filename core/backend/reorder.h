#pragma once

#include "core/tensor/layout.h"
#include "core/tensor/tensor.h"

namespace az {

// A copy of x with its elements laid out as in `layout` (nullptr: row-major). Not recorded for autograd.
Tensor reorder(const Tensor& x, const Layout* layout);
// x itself when its elements already lie as in `layout`, else such a copy.
Tensor laid_out(const Tensor& x, const Layout* layout);
// Copies x's elements into `into` (same shape and number type), whatever the two layouts.
void reorder_into(const Tensor& x, const Tensor& into);

// Reorders of activations and weights done since the program started.
uint64_t reorder_count();

}  // namespace az
