#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/config/value.h"
#include "experiments/report/table.h"

namespace az::experiments {

// How the squared norm of a scale-invariant weight is predicted from the lengths of a run's steps alone.
struct NormRule {
  std::optional<double> beta;  // of the momentum; none: no prediction
  std::string words;           // the rule, or why there is none, a sentence
};

// The rule for a run with this config.json.
NormRule norm_rule(const config::Value& config);

// ||w||^2 at each row, as predicted from the first, for a weight whose gradients are orthogonal to it:
//   ||w(t+1)||^2 = ||w(t)||^2 - 2 lr q(t) + ||d(t)||^2,  q(t+1) = beta (q(t) - ||d(t)||^2 / lr),  q(1) = 0,
// where d is the step and q = <p, w> the momentum's part along w. NaN from where a step was not watched. `layer` is of the
// probe.
std::vector<double> predicted_norm_squared(const Table& layer, double beta);

}  // namespace az::experiments
