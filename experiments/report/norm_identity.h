#pragma once

#include <vector>

#include "core/config/value.h"
#include "experiments/report/table.h"
#include "optim/norm_identity.h"

namespace az::experiments {

// What the optimizer of a run with this config.json says, for a folder that does not record it (measurements.json).
optim::NormRule norm_rule(const config::Value& config);

// ||w||^2 at each row by optim::NormIdentity, from the first row on; lr is the effective rate times ||w||^norm_power. NaN from
// where a step was not watched or, with a beta above 0, its rate is not known; all NaN where that leaves the first row alone.
// `layer` is of the probe scale_invariance.
std::vector<double> predicted_norm_squared(const Table& layer, double beta);

}  // namespace az::experiments
