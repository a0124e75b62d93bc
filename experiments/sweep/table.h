#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/config/value.h"
#include "experiments/sweep/runner.h"

namespace az::experiments {

// One measure of the last epoch, over the finished runs of a group.
struct Measure {
  std::string name;  // "test_accuracy": as in metrics.jsonl
  int64_t runs = 0;  // that have it
  double mean = 0;
  std::optional<double> spread = {};  // sample standard deviation, of two runs or more
  double best = 0;                    // the largest accuracy, the smallest loss
};

struct GroupResult {
  std::string group;
  int64_t runs = 0, done = 0, failed = 0;
  std::vector<Measure> measures;  // those that any of its runs has
};

// The runs of a sweep, summed up by group, from the metrics.jsonl of those that are done.
struct SweepTable {
  std::string name, description, folder;
  std::vector<GroupResult> groups;
  std::vector<std::string> legend;    // the sweep's
  std::vector<std::string> left_out;  // a sentence on each run that is done, but whose metrics cannot be read
  config::Value runs;  // for a program: of each run its name, group, folder, state, overrides, failure, and measures

  // The table for a terminal, "accuracy" columns in percent.
  std::string text() const;
  // RFC 4180, a row a group; accuracies as fractions.
  std::string csv() const;
  // One page without anything from outside.
  std::string html() const;
  config::Value json() const;
};
SweepTable sweep_table(const Sweep& sweep, const SweepResult& result, const std::string& folder);

}  // namespace az::experiments
