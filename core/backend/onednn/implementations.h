#pragma once

#include "core/backend/conv/implementation.h"

// oneDNN's implementations of a convolution problem, but for what is known to fail.
namespace az::onednn {

Implementations<ConvForward> implementations_of(const ConvProblem& problem, const ConvForward&);
Implementations<ConvBackwardData> implementations_of(const ConvProblem& problem, const ConvBackwardData&);
Implementations<ConvBackwardWeights> implementations_of(const ConvProblem& problem, const ConvBackwardWeights&);

}  // namespace az::onednn
