#pragma once

#include <string>
#include <vector>

#include "experiments/experiment.h"

namespace az::experiments {

// Finds out before the first step what can be known then, of a blueprint all but whose notes are built. Runs a copy of the
// network on zeros of the sizes that its batches will have, as far as source.plan tells them: the training's, its last one, and
// those of each evaluation, seen as test-time augmentation sees them. Changes nothing, random numbers included, and reads no
// data.
//
// Throws ConfigError, with the place, for what cannot work or cannot be meant; for an evaluation, only what that needs counts.
// Returns what is odd about a training: a sentence each, after the option that it is of.
std::vector<std::string> preflight(const Blueprint& blueprint, Purpose purpose);

}  // namespace az::experiments
