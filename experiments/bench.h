#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/profile.h"
#include "experiments/experiment.h"
#include "nn/summary.h"

namespace az::experiments {

struct BenchOptions {
  int64_t steps = 20;     // timed
  int64_t warmup = 3;     // steps before, which choose kernels and fill caches
  bool evaluate = false;  // time forward passes over the test set, not training steps
};

// What the steps of an experiment take on this machine. Times are in milliseconds a step.
struct BenchReport {
  std::string name, precision;
  bool evaluation = false;
  int64_t steps = 0, images_per_step = 0;
  int threads = 0;

  double images_per_second = 0;  // by the median step
  double step_ms_median = 0, step_ms_p10 = 0, step_ms_p90 = 0, step_ms_mean = 0;
  struct Part {
    Phase phase;
    std::string op, scope;  // of the module that it ran in
    std::string kernel;     // of a convolution
    double ms = 0, calls = 0;
  };
  std::vector<Part> parts;  // in the order they ran; their sum is step_ms_mean
  double phase_ms(Phase phase) const;

  nn::Summary layers;      // of one image
  double gflops = 0;       // 1e9 operations a second by the median step: two a multiply-add; going back takes twice that
  double peak_gflops = 0;  // what a product of matrices reaches here at this precision; 0: unknown
  double data_cpu_ms = 0;  // processor time, of all threads, to load and augment a step's images
  double reorders_per_step = 0;
  double peak_rss_mib = 0;  // of the whole process, the data set included
  double data_mib = 0;      // images and labels of the data set
};

// Takes the experiment's own training steps on full batches of its data, loaded and augmented as it says; its parameters
// change, no file is written. Throws ConfigError on less than one step, DivergedError on a loss that is not finite.
BenchReport bench(Experiment& experiment, const BenchOptions& options);

}  // namespace az::experiments
