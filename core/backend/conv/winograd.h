#pragma once

#include "core/backend/conv/implementation.h"

namespace az {

// Adds the kernels of core/kernels/winograd to what is offered for a problem, where they take it: they compete, and lie as
// those offered do. Nothing is added to nothing.
void add_winograd(const ConvProblem& problem, Implementations<ConvForward>& offered);
void add_winograd(const ConvProblem& problem, Implementations<ConvBackwardData>& offered);
void add_winograd(const ConvProblem& problem, Implementations<ConvBackwardWeights>& offered);

}  // namespace az
