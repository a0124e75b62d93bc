#pragma once

#include <memory>
#include <string>
#include <vector>

#include "experiments/metrics.h"

namespace az::experiments {

// Other forms of a run's metrics.jsonl, brought to what it holds. "csv": <folder>/metrics.csv; "tensorboard":
// <folder>/tensorboard/. Says on stderr which of its lines cannot be read. Throws Error where a form cannot be written.
std::vector<std::unique_ptr<Mirror>> make_mirrors(const std::vector<std::string>& forms, const std::string& folder);

struct MetricLine {
  std::string kind;
  MetricFields fields;
};
struct MetricLines {
  std::vector<MetricLine> lines;
  std::vector<size_t> unread;  // numbers, from 1, of lines that are none of metrics
};
// What a metrics.jsonl holds; nothing where there is none.
MetricLines read_metrics(const std::string& path);

}  // namespace az::experiments
