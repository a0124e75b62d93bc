#pragma once

#include "core/backend/conv/implementation.h"

namespace az {

// Adds kernels of our own to what oneDNN offers for a problem, where they take it. Where oneDNN's first implementation reads
// blocks, ours compete with it and have its layout. Elsewhere oneDNN has a product of matrices at best (for some depthwise
// convolutions, and for all on an arm64 processor without SVE of 512 bits), and ours come first, in blocks; results that are
// images then have another layout than the product's, so that nothing competes. Where channels are few, strides are wider than
// the window, or too few tiles share a transformed weight, the product comes first. Where oneDNN offers nothing, nothing is
// added.
template <class Direction> void add_own_kernels(const ConvProblem& problem, Implementations<Direction>& offered);

}  // namespace az
