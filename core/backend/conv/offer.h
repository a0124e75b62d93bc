#pragma once

#include "core/backend/conv/own_kernels.h"
#include "core/backend/onednn/implementations.h"

namespace az {

// All ways that there are here to compute a problem: oneDNN's and our own.
template <class Direction> Implementations<Direction> offered(const ConvProblem& problem) {
  Implementations<Direction> all = onednn::implementations_of(problem, Direction());
  add_own_kernels(problem, all);
  return all;
}

}  // namespace az
