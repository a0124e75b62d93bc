#pragma once

#include <memory>
#include <string>
#include <vector>

#include "experiments/metrics.h"

namespace az::experiments {

// Other forms of a run's metrics.jsonl, made anew from what it holds. "csv": <folder>/metrics.csv; "tensorboard":
// <folder>/tensorboard/. Throws Error where they cannot be written.
std::vector<std::unique_ptr<Mirror>> make_mirrors(const std::vector<std::string>& forms, const std::string& folder);

struct MetricLine {
  std::string kind;
  MetricFields fields;
};
// The lines of a metrics.jsonl. Throws DataError on one that is no such line.
std::vector<MetricLine> read_metrics(const std::string& path);

}  // namespace az::experiments
