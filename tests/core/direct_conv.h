#pragma once

#include <algorithm>
#include <string>

#include "core/backend/conv/offer.h"

namespace az::test {

// The implementation that is preferred here of those not by Winograd's method, for a 3x3 convolution of f32 in the direction
// that `problem` starts with.
inline std::string direct_conv(const std::string& problem) {
  ConvProblem p{"forward", {8, 32, 9, 8}, {32, 32, 3, 3}, {8, 32, 9, 8}, DType::f32, {.padding = 1}};
  if (problem.starts_with("backward_data")) p.direction = "backward_data";
  if (problem.starts_with("backward_weights")) p.direction = "backward_weights";
  const auto first = [](const auto& offered) {
    return std::ranges::find_if(offered.all, [](const auto& one) { return !one.transforms; })->name;
  };
  if (p.direction == "forward") return first(offered<ConvForward>(p));
  if (p.direction == "backward_data") return first(offered<ConvBackwardData>(p));
  return first(offered<ConvBackwardWeights>(p));
}

}  // namespace az::test
