#pragma once

#include <vector>

#include "core/autograd/autograd.h"
#include "experiments/experiment.h"
#include "experiments/score.h"
#include "experiments/views.h"

namespace az::experiments {

// The batches of one optimizer step: `accumulate` of them, or what is left of the epoch. Moves `at` past them.
std::vector<data::Batch> next_batches(data::Loader::Iterator& at, int64_t accumulate);

struct StepResult {
  double lr = 0;
  double loss = 0;  // mean over the images of the step
  Score score;      // of each batch before the update
  // The batch whose loss is not finite, at which the step broke off: no parameter was changed. nullptr: none.
  const data::Batch* diverged = nullptr;
  std::vector<std::string> without_gradient;  // the optimizer's parameters that no gradient reached, before the update
};
// One optimizer step, `step` counted from 0: forward, loss, backward over each batch, clipping, update. Whoever is watching is
// shown it; nullptr: nobody.
StepResult train_step(Experiment& experiment, int64_t step, const std::vector<data::Batch>& batches,
                      Watching* watching = nullptr);

// Has a network in evaluation mode, without gradients, for as long as it lives, and adds up its score.
class Evaluation {
 public:
  explicit Evaluation(nn::Module& model, const EvaluationOptions& options = {});
  void add(const data::Batch& batch);
  const Score& score() const { return score_; }
  // Forward passes a batch: one for each view of test-time augmentation.
  int64_t passes() const { return int64_t(views_.size()); }

 private:
  nn::Module& model_;
  nn::Evaluating evaluating_;
  NoGrad no_grad_;
  std::vector<View> views_;
  Score score_;
};
// Mean loss and accuracies of a network over a set, in evaluation mode, without label smoothing.
Score evaluate(nn::Module& model, data::Loader& loader, const EvaluationOptions& options = {});

}  // namespace az::experiments
