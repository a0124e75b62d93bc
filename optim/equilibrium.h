#pragma once

#include <cmath>

namespace az::optim {

// The angle in radians that a scale-invariant weight turns at each step once its norm has settled: gradients are tangent and as
// good as independent, decay shrinks the weight by a share `shrink` a step, and that balances what the steps add to its norm.
// After Wan et al., "Spherical motion dynamics", 2021 (arXiv:2006.08419), and Kosson et al., "Rotational equilibrium", 2024
// (arXiv:2305.17212).

// Steps that are projected add their own squares only: angle^2 = 2 shrink.
inline double projected_equilibrium(double shrink) { return shrink > 0 ? std::sqrt(2 * shrink) : NAN; }

// Steps with momentum b, d = sum_k c_k g_{t-k}, add more, as they follow one another: angle^2 = 2 shrink sum c_k^2 / (sum
// c_k)^2.
// - Heavy ball, c_k = b^k: (1 - b) / (1 + b).
// - Nesterov, c_0 = 1 + b, c_k = b^(k+1): ((1 + b)^2 + b^4 / (1 - b^2)) (1 - b)^2.
inline double momentum_equilibrium(double shrink, double b, bool nesterov) {
  const double share = nesterov ? ((1 + b) * (1 + b) + b * b * b * b / (1 - b * b)) * (1 - b) * (1 - b) : (1 - b) / (1 + b);
  return projected_equilibrium(shrink * share);
}

}  // namespace az::optim
