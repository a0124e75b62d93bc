#pragma once

#include "core/backend/conv/implementation.h"

namespace az {

// Adds the kernels of core/kernels/depthwise to what is offered for a problem, where they take it: they compete, and lie as
// those offered do, or come first where those are plain fall-backs. Nothing is added to nothing.
void add_depthwise(const ConvProblem& problem, Implementations<ConvForward>& offered);
void add_depthwise(const ConvProblem& problem, Implementations<ConvBackwardData>& offered);
void add_depthwise(const ConvProblem& problem, Implementations<ConvBackwardWeights>& offered);

}  // namespace az
