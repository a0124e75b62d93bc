#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/files.h"
#include "experiments/score.h"

namespace az::experiments {

using MetricValue = std::variant<int64_t, double, std::string, std::optional<double>>;
using MetricFields = std::vector<std::pair<std::string, MetricValue>>;

// Adds <prefix>_loss, <prefix>_accuracy and <prefix>_top5, the last two as fractions.
void add_score(MetricFields& fields, const std::string& prefix, const Score& score);

// {"kind":"epoch","epoch":1,...} on one line, keys in the order given; numbers that are not finite, and absent ones, are null.
std::string metrics_line(const std::string& kind, const MetricFields& fields);

// Another form of metrics.jsonl, which stays the truth.
class Mirror {
 public:
  virtual ~Mirror() = default;
  // Takes the line that metrics.jsonl has just got.
  virtual void write(const std::string& kind, const MetricFields& fields) = 0;
  // Flushes to the disk.
  virtual void sync() = 0;
};

// metrics.jsonl: one object a line, flushed a line at a time. One program at a time may write to it.
class MetricsLog {
 public:
  // Appends after the whole lines among the first `keep_bytes` bytes; what lies behind (written after the checkpoint resumed
  // from, or cut short) is dropped.
  MetricsLog(const std::string& path, int64_t keep_bytes);

  void write(const std::string& kind, const MetricFields& fields);
  // From now on this one gets each line, too.
  void mirror_to(std::unique_ptr<Mirror> mirror) { mirror_ = std::move(mirror); }
  int64_t bytes() const { return bytes_; }
  // Flushes to the disk, before a checkpoint relies on bytes().
  void sync();

 private:
  OutputFile file_;
  int64_t bytes_;
  std::unique_ptr<Mirror> mirror_;
};

}  // namespace az::experiments
