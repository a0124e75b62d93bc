#pragma once

#include "experiments/experiment.h"
#include "experiments/measurement.h"
#include "experiments/metrics.h"
#include "experiments/progress.h"

// The lines of metrics.jsonl that each training writes by itself, of the kinds "step" and "epoch".
namespace az::experiments {

struct StepSummary {
  int64_t step, epoch;
  double lr, loss;
};
MetricFields step_fields(const StepSummary& summary);
MetricFields epoch_fields(const EpochSummary& summary);

// What they hold.
Measurement step_measurement();
Measurement epoch_measurement();
// The same, what an experiment's probes measure, and the rule of its optimizer.
Measurements measurements_of(const Experiment& experiment);

}  // namespace az::experiments
