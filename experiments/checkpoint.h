#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/backend/tuning.h"
#include "core/base/random.h"
#include "core/safetensors.h"
#include "experiments/score.h"

namespace az::experiments {

// Where a training stands: what continues it exactly, beside the tensors of model and optimizer.
struct TrainingState {
  int64_t epochs = 0;        // finished
  int64_t step = 0;          // optimizer steps made
  int64_t batches = 0;       // of the unfinished epoch
  int64_t measured = 0;      // the step at the last evaluation
  Score train = {};          // over those batches; where there are none, over the epoch before
  double epoch_seconds = 0;  // likewise
  double seconds = 0;        // of training in the epochs before that
  RandomState random = {};
  double lr = 0;                 // of the last step
  DType precision = DType::f32;  // of activations, as they really were
  std::optional<double> best_accuracy = {};
  int64_t best_epoch = 0;
  int64_t metrics_bytes = 0;  // length of metrics.jsonl
};

struct Checkpoint {
  SafeTensors model, optimizer;
  TrainingState state;
  SafeTensors average = {};    // of the weights; empty where none is taken
  Algorithms algorithms = {};  // that the training ran with

  // What the network is evaluated with: the average where there is one, the model's own tensors otherwise.
  std::map<std::string, Tensor> weights() const;
};

// Writes <folder>/{model,optimizer,average}.safetensors, state.json and algorithms.json beside, flushes them, then puts them in
// place in one go.
void save_checkpoint(const std::string& folder, const Checkpoint& checkpoint);

// Throws DataError naming the file that is missing or damaged, as is one with a state that cannot be.
Checkpoint load_checkpoint(const std::string& folder);
// Only where the training stood, of a checkpoint's folder. Throws DataError likewise.
TrainingState load_state(const std::string& folder);
// The checkpoint of a run that counts: "best", or "last" where there is no best.
std::string best_or_last(const std::string& run);
// The folder to load: `folder`, or the "<folder>.old" that an interrupted replacement left.
std::string existing_checkpoint(const std::string& folder);

}  // namespace az::experiments
