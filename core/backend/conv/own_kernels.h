#pragma once

#include "core/backend/conv/implementation.h"

namespace az {

// Adds kernels of our own to what oneDNN offers for a problem, where they take it. Where its first reads blocks, they compete
// and lie as it does. Elsewhere it has a product of matrices at best (for some depthwise convolutions, and for all on an arm64
// processor without SVE of 512 bits), and they come first, in blocks; images' results then have another layout than that, so
// that nothing competes. Where channels are few, strides wider than the window, or too few tiles share a transformed weight,
// the product comes first. Where oneDNN offers nothing, nothing is added.
template <class Direction> void add_own_kernels(const ConvProblem& problem, Implementations<Direction>& offered);

}  // namespace az
