#include "experiments/step.h"

#include <cmath>

#include "core/base/profile.h"
#include "core/ops/elementwise.h"
#include "core/ops/loss.h"
#include "experiments/interrupt.h"
#include "optim/clip.h"

namespace az::experiments {

std::vector<data::Batch> next_batches(data::Loader::Iterator& at, int64_t accumulate) {
  std::vector<data::Batch> batches;
  for (; int64_t(batches.size()) < accumulate && at != data::Loader::End{}; ++at) batches.push_back(*at);
  Profile::ended(Phase::data, "load");
  return batches;
}

StepResult train_step(Experiment& experiment, int64_t step, const std::vector<data::Batch>& batches, Watching* watching) {
  optim::Optimizer& optimizer = *experiment.optimizer;
  const TrainOptions& options = experiment.config.train;
  int64_t images_in_step = 0;
  for (const data::Batch& batch : batches) images_in_step += batch.images.size(0);

  StepResult result{.lr = experiment.lr_at(step), .score = {}, .without_gradient = {}};
  optimizer.set_lr(result.lr);
  optimizer.zero_grad();
  std::optional<nn::Observe> observe;
  if (nn::Observer* modules = watching ? watching->modules() : nullptr) observe.emplace(*modules);
  for (const data::Batch& batch : batches) {
    const Tensor logits = (*experiment.model)(batch.images);
    const Tensor loss = cross_entropy(logits, batch.labels, {.label_smoothing = options.label_smoothing});
    const double value = loss.item();
    if (!std::isfinite(value)) {
      result.loss = value;
      result.diverged = &batch;
      return result;
    }
    if (watching) watching->loss(loss, optimizer.parameters());
    // A short batch weighs less: the step's gradient is the mean over all its images.
    const double share = double(batch.images.size(0)) / double(images_in_step);
    experiment.model->located([&] { (batches.size() == 1 ? loss : loss * share).backward(); });
    result.score.add(value, logits, batch.labels);
    result.loss += share * value;
    Profile::ended(Phase::other, "score");
  }
  result.without_gradient = without_gradient(optimizer.parameters());
  if (options.clip_value) optim::clip_grad_value(optimizer.parameters(), *options.clip_value);
  if (options.clip_norm) optim::clip_grad_norm(optimizer.parameters(), *options.clip_norm);
  if (options.clip_value || options.clip_norm) Profile::ended(Phase::optimizer, "clip");
  optimizer.step(watching);
  Profile::ended(Phase::optimizer, "update");
  if (experiment.average) {
    experiment.average->update(experiment.moment(step));
    Profile::ended(Phase::optimizer, "average");
  }
  return result;
}

Evaluation::Evaluation(nn::Module& model, const EvaluationOptions& options)
    : model_(model), evaluating_(model), views_(views_of(config::checked("evaluation", options).test_time_augmentation)) {}

void Evaluation::add(const data::Batch& batch) {
  Tensor logits;
  for (const View& view : views_) {
    Tensor one = model_(seen(batch.images, view));
    if (one.dtype() == DType::bf16) one = one.to(DType::f32);  // a sum of views needs more than 8 bits
    logits = views_.size() == 1 ? one : logits.defined() ? logits + one * view.weight : one * view.weight;
  }
  score_.add(cross_entropy(logits, batch.labels).item(), logits, batch.labels);
  Profile::ended(Phase::other, "score");
}

Score evaluate(nn::Module& model, data::Loader& loader, const EvaluationOptions& options) {
  Evaluation evaluation(model, options);
  loader.set_epoch(0);
  for (const data::Batch& batch : loader) {
    if (InterruptGuard::received() != Exit::done) break;
    evaluation.add(batch);
  }
  return evaluation.score();
}

}  // namespace az::experiments
