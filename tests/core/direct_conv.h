#pragma once

#include <string>

#include "core/backend/conv/offer.h"

namespace az::test {

// The implementation that oneDNN prefers here for a 3x3 convolution of f32, of the direction that `problem` starts with, and
// which is not by Winograd's method.
inline std::string direct_conv(const std::string& problem) {
  ConvProblem p{"forward", {8, 32, 9, 8}, {32, 32, 3, 3}, {8, 32, 9, 8}, DType::f32, {.padding = 1}};
  if (problem.starts_with("backward_data")) p.direction = "backward_data";
  if (problem.starts_with("backward_weights")) p.direction = "backward_weights";
  if (p.direction == "forward") return offered<ConvForward>(p).all[0].name;
  if (p.direction == "backward_data") return offered<ConvBackwardData>(p).all[0].name;
  return offered<ConvBackwardWeights>(p).all[0].name;
}

}  // namespace az::test
