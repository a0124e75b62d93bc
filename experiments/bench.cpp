#include "experiments/bench.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <fstream>
#include <optional>

#include "core/backend/peak.h"
#include "core/backend/reorder.h"
#include "core/base/clock.h"
#include "core/base/threads.h"
#include "experiments/step.h"

namespace az::experiments {
namespace {

// Processor time of all threads so far.
double cpu_seconds() {
  std::timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

// The largest resident set of this program; getrusage's would count what ran in this process before it.
double peak_rss_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return double(std::stoll(line.substr(6))) / 1024;
  }
  return 0;
}

double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const double place = share * double(values.size() - 1), below = std::floor(place);
  const double a = values[size_t(below)], b = values[size_t(std::ceil(place))];
  return a + (b - a) * (place - below);
}

// A step's batches, full ones only: a short one would be a problem of another shape.
class FullBatches {
 public:
  FullBatches(data::Loader& loader, int64_t in_a_step)
      : loader_(loader), in_a_step_(in_a_step), in_an_epoch_(loader.dataset().count() / loader.options().batch_size) {
    loader_.set_epoch(0);
  }
  std::vector<data::Batch> next() {
    if (!at_ || at_->position().batch + in_a_step_ > in_an_epoch_) at_ = loader_.begin();
    return next_batches(*at_, in_a_step_);
  }

 private:
  data::Loader& loader_;
  int64_t in_a_step_, in_an_epoch_;
  std::optional<data::Loader::Iterator> at_;
};

// The steps that are timed, each with its own data.
class Steps {
 public:
  Steps(Experiment& experiment, bool evaluate)
      : experiment_(experiment),
        batches_(evaluate ? experiment.test : experiment.train, evaluate ? 1 : experiment.config.train.accumulate) {
    experiment.model->train();
    if (evaluate) evaluation_.emplace(*experiment.model, experiment.config.train.evaluation);
  }
  // Returns the number of images.
  int64_t take() {
    const std::vector<data::Batch> batches = batches_.next();
    int64_t images = 0;
    for (const data::Batch& batch : batches) images += batch.images.size(0);
    if (evaluation_) {
      for (const data::Batch& batch : batches) evaluation_->add(batch);
    } else if (train_step(experiment_, step_, batches).diverged) {
      throw DivergedError(fmt::format("bench: the loss of step {} is not finite; lower optimizer.lr", step_ + 1));
    }
    ++step_;
    return images;
  }
  void load() { batches_.next(); }
  // How often a step does what a forward pass does: a backward pass counts twice.
  int64_t passes() const { return evaluation_ ? evaluation_->passes() : 3; }

 private:
  Experiment& experiment_;
  FullBatches batches_;
  std::optional<Evaluation> evaluation_;
  int64_t step_ = 0;
};

}  // namespace

double BenchReport::phase_ms(Phase phase) const {
  double ms = 0;
  for (const Part& part : parts) ms += part.phase == phase ? part.ms : 0;
  return ms;
}

BenchReport bench(Experiment& experiment, const BenchOptions& options) {
  if (options.steps < 1) throw ConfigError(fmt::format("bench: steps must be at least 1 (got {})", options.steps));
  if (options.warmup < 0) throw ConfigError(fmt::format("bench: warmup must be at least 0 (got {})", options.warmup));
  const ExperimentConfig& config = experiment.config;
  BenchReport report{.name = config.name,
                     .precision = name_of(experiment.precision()),
                     .evaluation = options.evaluate,
                     .steps = options.steps,
                     .threads = thread_count(),
                     .parts = {},
                     .layers = {}};
  const double steps = double(options.steps);
  int64_t passes = 0;
  {
    Steps run(experiment, options.evaluate);
    passes = run.passes();
    for (int64_t i = 0; i < options.warmup; ++i) run.take();

    std::vector<double> seconds;
    const uint64_t reorders = reorder_count();
    Profile profile;
    for (int64_t i = 0; i < options.steps; ++i) {
      const double start = steady_seconds();
      report.images_per_step = run.take();
      seconds.push_back(steady_seconds() - start);
      Profile::ended(Phase::other, "unattributed");
    }
    report.reorders_per_step = double(reorder_count() - reorders) / steps;
    for (const Profile::Entry& entry : profile.entries()) {
      const double ms = 1e3 * entry.seconds / steps;
      report.parts.push_back({entry.phase, entry.op, entry.scope, entry.kernel, ms, double(entry.calls) / steps});
      report.step_ms_mean += ms;
    }
    report.step_ms_median = 1e3 * quantile(seconds, 0.5);
    report.step_ms_p10 = 1e3 * quantile(seconds, 0.1);
    report.step_ms_p90 = 1e3 * quantile(seconds, 0.9);
    report.images_per_second = 1e3 * double(report.images_per_step) / report.step_ms_median;

    const double before = cpu_seconds();
    constexpr int loads = 4;
    for (int i = 0; i < loads; ++i) run.load();
    report.data_cpu_ms = 1e3 * (cpu_seconds() - before) / loads;
  }
  report.peak_rss_mib = peak_rss_mib();
  // A validation part shares the training part's images.
  report.data_mib = double(experiment.splits.train.bytes() + experiment.splits.test.bytes()) / (1 << 20);
  report.layers = summarize(experiment);
  report.gflops = 2e-9 * double(passes * report.layers.multiply_adds) * report.images_per_second;
  report.peak_gflops = 1e-9 * measured_peak_flops(experiment.precision());
  return report;
}

}  // namespace az::experiments
