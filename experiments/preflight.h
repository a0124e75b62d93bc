#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "experiments/experiment.h"

namespace az::experiments {

// What came of trying batches, kept for other configs with the same network and the same sizes of batches.
struct TriedBatches {
  struct Failure {
    std::string place, why;  // in the config, where that is known; "" where nothing is wrong
  };
  std::map<std::string, int64_t> classes;
  std::map<std::pair<std::string, int64_t>, Failure> failures[2];  // by Purpose
  std::map<std::string, std::string> hidden_states;
};

// Finds out before the first step what can be known then, of a blueprint all but whose notes are built. Runs copies of the
// network on numbers, and one on zeros of the sizes that its batches will have, as far as source.plan tells them: the
// training's, its last one, and those of each evaluation, seen as test-time augmentation sees them; two images stand for more
// where no layer is of one's own, or memory is short. Changes nothing, random numbers included, and reads no data. What `tried`
// knows is not tried again.
//
// Throws ConfigError, with the place, for what cannot work or cannot be meant; for an evaluation, only what that needs counts.
// Returns what is odd about a training: a sentence each, after the option that it is of.
std::vector<std::string> preflight(const Blueprint& blueprint, Purpose purpose, TriedBatches* tried = nullptr);

}  // namespace az::experiments
