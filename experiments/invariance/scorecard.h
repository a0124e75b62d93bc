#pragma once

#include <string>
#include <vector>

#include "experiments/experiment.h"
#include "experiments/invariance/judges.h"

namespace az::experiments {

struct Scorecard {
  std::string checkpoint;  // "last", "best", or "" for fresh weights
  int64_t batches = 0;
  std::vector<Judged> parameters;
};

// Judges on the first `batches` batches of training, of as many epochs as they take, in f32: fresh weights of a config, or
// those of a run's checkpoint, "last" or "best", as its optimizer has them.
Scorecard judge_config(const ExperimentConfig& config, int64_t batches);
Scorecard judge_run(const std::string& folder, int64_t batches, const std::string& checkpoint = "last");

// One sentence: where the length goes, or what is in the way, and how far the judges agree.
std::string words(const Judged& judged);
// A line for each parameter, under a header.
std::string table(const Scorecard& scorecard);
// {"checkpoint", "batches", "parameters": [{"name", "shape", "structure", "numbers", "cosine", "verdict", "words", "loss",
// "scaled":
// [{"a", "loss"}, ...], "radial", "hit_rate": {"channel", "layer"}, ...}]}, as indented JSON.
std::string to_json(const Scorecard& scorecard);
// Makes or replaces invariance.json in a run's folder, for reports, and gives its path.
std::string write_scorecard(const Scorecard& scorecard, const std::string& folder);

}  // namespace az::experiments
