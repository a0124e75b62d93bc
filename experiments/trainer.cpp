#include "experiments/trainer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "core/base/clock.h"
#include "experiments/diagnose.h"
#include "experiments/interrupt.h"
#include "experiments/log/mirror.h"
#include "experiments/run_folder.h"
#include "experiments/say.h"
#include "experiments/training_lines.h"

namespace az::experiments {
namespace {

bool interrupted() { return InterruptGuard::received() != Exit::done; }

// An older version counted an epoch that max_steps had cut short as whole: this gives it its place back.
void uncount_cut_epoch(TrainingState& s, const Experiment& experiment) {
  const int64_t steps = experiment.steps_per_epoch(), rest = s.step % steps;
  if (s.batches > 0 || rest == 0 || s.epochs != s.step / steps + 1) return;
  s.epochs -= 1;
  s.batches = rest * experiment.config.train.accumulate;
}

// Throws where the checkpoint counts what a training by the config cannot have counted. A history from the start proves that
// the config is still the one; and older versions, which kept none, lost the rest of an epoch that was cut.
void check_fits(const TrainingState& s, const Experiment& experiment, const std::string& folder, bool proved) {
  const auto holds = [&](bool it, const std::string& otherwise) {
    if (it) return;
    if (proved)
      throw DataError(fmt::format("{}/state.json is damaged: {}; put back a copy, or train anew",
                                  existing_checkpoint(folder + "/checkpoints/last"), otherwise));
    throw ConfigError(
        fmt::format("{}/config.json does not fit the checkpoint: {}; put it back as it was, or train anew", folder, otherwise));
  };
  const int64_t batches = experiment.train.batches();
  holds(s.batches <= batches, fmt::format("{} batches of an epoch are done, of the {} that it makes one", s.batches, batches));
  const double begun = std::ceil(double(s.batches) / double(experiment.config.train.accumulate));
  const double steps = double(s.epochs) * double(experiment.steps_per_epoch()) + begun;
  holds(proved ? double(s.step) == steps : double(s.step) <= steps && (s.step > 0) == (steps > 0),
        fmt::format("{} steps are done, which are not {} epochs and {} batches", s.step, s.epochs, s.batches));
}

}  // namespace

bool finished(const TrainOptions& train, const TrainingState& state) {
  const auto epochs = train.epochs_or_default();
  return (epochs && state.epochs >= *epochs) || (train.max_steps && state.step >= *train.max_steps);
}

bool ended(const TrainOptions& train, const TrainingState& state) {
  return finished(train, state) && state.measured == state.step;
}

Trainer::Trainer(Experiment& experiment, std::string folder, TrainerOptions options)
    : experiment_(experiment), config_(experiment.config), folder_(std::move(folder)) {
  state_.random = random_state();
  if (options.show_progress) progress_.emplace();
}

DType Trainer::restore(const RunConfig& run) {
  Checkpoint checkpoint = load_checkpoint(folder_ + "/checkpoints/last");
  uncount_cut_epoch(checkpoint.state, experiment_);
  check_fits(checkpoint.state, experiment_, folder_, run.from_the_start);
  check_length(folder_, run, checkpoint.state, experiment_.train.batches());
  experiment_.model->load_state(checkpoint.model.tensors);
  experiment_.optimizer->load_state(checkpoint.optimizer.tensors);
  if (experiment_.average) experiment_.average->load_state(checkpoint.average.tensors);
  use_algorithms(config_, checkpoint.algorithms);
  state_ = checkpoint.state;
  experiment_.use_precision(state_.precision);
  set_random_state(state_.random);
  return state_.precision;
}

int64_t Trainer::epochs() const {
  const optim::Length length = experiment_.length();
  return (length.steps + length.steps_per_epoch - 1) / length.steps_per_epoch;
}

double Trainer::epochs_left() const {
  return double(experiment_.length().steps - state_.step) / double(experiment_.steps_per_epoch());
}

TrainingResult Trainer::run() {
  InterruptGuard guard(progress_ ? "finishing the step, then saving" : nullptr,
                       "stopped at once; the last checkpoint stays as it was");
  const auto over = [&] { return ended(config_.train, state_); };
  const std::string log = folder_ + "/metrics.jsonl";
  metrics_.emplace(log, state_.metrics_bytes);  // from here on nobody else writes to the folder
  if (progress_ && metrics_->bytes() < state_.metrics_bytes)
    note(fmt::format("{} has whole lines in {} bytes of the {} written before the checkpoint; what is lost is left out", log,
                     metrics_->bytes(), state_.metrics_bytes));
  clear_leftovers(folder_);
  record_config(folder_, config_, state_.step);
  record_measurements(folder_, measurements_of(experiment_));
  metrics_->mirror_to(make_mirror(config_.log, folder_, [this](const std::string& text) { note(text); }));
  if (state_.step == 0) save("last");
  while (!interrupted() && !over()) {
    if (!finished()) train_epoch();
    if (!interrupted()) finish_epoch();
  }
  if (progress_) progress_->clear();
  if (interrupted()) save("last");
  return {.exit = InterruptGuard::received(),
          .epochs = state_.epochs + (state_.batches > 0),
          .step = state_.step,
          .passes = double(state_.epochs) + double(state_.batches) / double(experiment_.train.batches()),
          .seconds = state_.seconds + state_.epoch_seconds,
          .last = last_,
          .best_of = experiment_.validation ? "validation" : "test",
          .best_accuracy = state_.best_accuracy,
          .best_epoch = state_.best_epoch};
}

void Trainer::train_epoch() {
  data::Loader& loader = experiment_.train;
  loader.seek({.epoch = state_.epochs, .batch = state_.batches});
  experiment_.model->train();
  if (state_.batches == 0) {
    state_.seconds += state_.epoch_seconds;  // of the epoch before
    state_.epoch_seconds = 0;
    state_.train = {};
  }
  const double seconds_before = state_.epoch_seconds;
  const double start = steady_seconds();
  for (auto at = loader.begin(); at != loader.end();) {
    const std::vector<data::Batch> batches = next_batches(at, config_.train.accumulate);
    state_.batches = at.position().batch;
    Watching watching(state_.step + 1);
    for (const NamedProbe& one : experiment_.probes) {
      if (one.probe->due(state_.step + 1)) watching.add(one);
    }
    finish_step(train_step(experiment_, state_.step, batches, watching.empty() ? nullptr : &watching), watching);
    state_.epoch_seconds = seconds_before + (steady_seconds() - start);
    show_step();
    if (interrupted() || finished()) break;
  }
}

void Trainer::finish_step(const StepResult& result, Watching& watching) {
  state_.lr = result.lr;
  ++state_.step;
  if (result.diverged || state_.step % config_.train.log_every == 0) {
    metrics_->write("step",
                    step_fields({.step = state_.step, .epoch = state_.epochs + 1, .lr = state_.lr, .loss = result.loss}));
  }
  if (result.diverged) fail_diverged("the loss", result.loss, result.diverged->images);
  if (!std::exchange(looked_for_gradients_, true)) note_untrained(result.without_gradient);
  state_.train.add(result.score);
  report(watching);
}

void Trainer::note_untrained(const std::vector<std::string>& without_gradient) {
  if (!progress_) return;
  const auto note_names = [this](const std::vector<std::string>& names, const char* what) {
    if (names.empty()) return;
    const size_t shown = std::min<size_t>(names.size(), 8);
    note(fmt::format("{} ({} in all): {}{}", what, names.size(),
                     fmt::join(names.begin(), names.begin() + std::ptrdiff_t(shown), ", "),
                     names.size() > shown ? ", ..." : ""));
  };
  const auto& trained = experiment_.optimizer->parameters();
  note_names(without_gradient, "no gradient reached these parameters in the first step, which left them as they were");
  std::vector<std::string> unknown;
  for (const Parameter& p : experiment_.model->parameters()) {
    const auto is_it = [&](const Parameter& other) { return other.tensor.same(p.tensor); };
    if (p.tensor.requires_grad() && std::none_of(trained.begin(), trained.end(), is_it)) unknown.push_back(p.name);
  }
  note_names(unknown, "the optimizer was not given these parameters of the model, and leaves them as they are");
}

void Trainer::report(Watching& watching) {
  std::set<std::string> written;  // what two probes say of one parameter is written once
  watching.report([&](const std::string& kind, const MetricFields& seen) {
    MetricFields fields = {{"step", state_.step}, {"epoch", state_.epochs + 1}};
    fields.insert(fields.end(), seen.begin(), seen.end());
    if (written.insert(metrics_line(kind, fields)).second) metrics_->write(kind, fields);
  });
}

void Trainer::show_step() {
  if (!progress_) return;
  const data::Loader& loader = experiment_.train;
  const int64_t images = std::min(loader.dataset().count(), loader.batches() * loader.options().batch_size);
  const double speed = double(state_.train.images) / state_.epoch_seconds;
  progress_->step({.epoch = state_.epochs + 1,
                   .epochs = epochs(),
                   .batch = state_.batches,
                   .batches = loader.batches(),
                   .loss = state_.train.loss(),
                   .images_per_second = speed,
                   .seconds_left = epochs_left() * double(images) / speed});
}

std::optional<EpochSummary> Trainer::measure_epoch() {
  const double start = steady_seconds();
  EpochSummary summary{.epoch = state_.epochs + (state_.batches > 0),
                       .epochs = epochs(),
                       .step = state_.step,
                       .lr = state_.lr,
                       .train = state_.train,
                       .seconds = state_.epoch_seconds,
                       .images_per_second = double(state_.train.images) / state_.epoch_seconds};
  const bool last = finished() || summary.epoch == summary.epochs;
  const bool evaluates = last || summary.epoch % config_.train.evaluation.every_epochs == 0;
  const optim::Averaged averaged(evaluates ? experiment_.average.get() : nullptr);
  if (evaluates) {
    const auto measure = [&](data::Loader& loader) { return evaluate(*experiment_.model, loader, config_.train.evaluation); };
    if (experiment_.validation) summary.validation = measure(*experiment_.validation);
    summary.test = measure(experiment_.test);
  }
  if (interrupted()) return {};
  summary.seconds_left = epochs_left() * (summary.seconds + (steady_seconds() - start));

  metrics_->write("epoch", epoch_fields(summary));
  if (progress_) progress_->epoch(summary);
  if (summary.validation) check_finite("the validation loss", *summary.validation, *experiment_.validation);
  if (summary.test) check_finite("the test loss", *summary.test, experiment_.test);
  return summary;
}

void Trainer::finish_epoch() {
  const std::optional<EpochSummary> summary = measure_epoch();
  if (!summary) return;
  if (!first_bad_parameter(*experiment_.model).empty()) fail_diverged("a weight", NAN, {});
  last_ = summary;

  if (summary->test) state_.measured = state_.step;
  if (state_.batches == experiment_.train.batches()) {
    state_.epochs += 1;
    state_.batches = 0;
  }
  const std::optional<Score> score = summary->validation ? summary->validation : summary->test;
  if (score && score->accuracy() > state_.best_accuracy.value_or(-1)) {
    state_.best_accuracy = score->accuracy();
    state_.best_epoch = summary->epoch;
    if (config_.checkpoint.keeps("best")) save("best");
  }
  if (finished() || (config_.checkpoint.keeps("last") && state_.epochs % config_.checkpoint.every_epochs == 0)) save("last");
}

void Trainer::note(const std::string& text) {
  if (progress_) progress_->clear();
  say("azimuth: note: {}", text);
}

void Trainer::save(const std::string& name) {
  metrics_->sync();
  state_.metrics_bytes = metrics_->bytes();
  state_.random = random_state();
  state_.precision = experiment_.precision();
  const auto averages = experiment_.average ? experiment_.average->state() : std::map<std::string, Tensor>();
  save_checkpoint(
      folder_ + "/checkpoints/" + name,
      {{experiment_.model->state(), {}}, {experiment_.optimizer->state(), {}}, state_, {averages, {}}, algorithms()});
}

void Trainer::check_finite(const char* name, const Score& score, data::Loader& loader) {
  if (std::isfinite(score.loss())) return;
  const Evaluation evaluation(*experiment_.model);
  loader.set_epoch(0);
  fail_diverged(name, score.loss(), (*loader.begin()).images);
}

void Trainer::fail_diverged(const char* what, double value, const Tensor& images) {
  const std::string kept = existing_checkpoint(folder_ + "/checkpoints/last");
  throw DivergedError(fmt::format(
      "training diverged at step {} (epoch {}, learning rate {:.6g}): {} is {}; the first number that is not finite is {}; "
      "lower optimizer.lr, warm up for longer or set train.clip_norm{}",
      state_.step, state_.epochs + 1, state_.lr, what, std::isnan(value) ? "not a number" : "infinite",
      first_bad_layer(*experiment_.model, images), state_.epochs > 0 ? "; the checkpoint at " + kept + " is from before" : ""));
}

}  // namespace az::experiments
