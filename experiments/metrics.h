#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/files.h"
#include "core/config/value.h"
#include "experiments/score.h"

namespace az::experiments {

using MetricValue = std::variant<int64_t, double, std::string, std::optional<double>>;
using MetricFields = std::vector<std::pair<std::string, MetricValue>>;

// Adds <prefix>_loss, <prefix>_accuracy and <prefix>_top5, the last two as fractions.
void add_score(MetricFields& fields, const std::string& prefix, const Score& score);

// {"kind":"epoch","epoch":1,...} on one line, keys in the order given; numbers that are not finite, and absent ones, are null.
std::string metrics_line(const std::string& kind, const MetricFields& fields);

// The number as JSON has it; null where there is none, or where it is not finite.
config::Value to_value(const MetricValue& value);

// A line of a metrics.jsonl.
struct MetricLine {
  std::string kind;
  MetricFields fields;
  size_t place = 0;  // in its file: 1 is the first

  const MetricValue* find(std::string_view key) const;  // nullptr where there is none
  double number(std::string_view key) const;            // NaN where there is none
  std::string text(std::string_view key) const;         // "" where there is none
};
// The places of the lines that are none of metrics, and whether the last of them is the end of the file, cut off.
struct UnreadLines {
  std::vector<size_t> places;
  bool cut = false;
};
// Calls take(line) with each line of a metrics.jsonl, which gives whether it can be used; empty lines are skipped. Where a kind
// is given, a line that does not begin as metrics_line() begins those of that kind is skipped as well, unparsed. Throws
// FileError.
UnreadLines read_metrics(const std::string& path, const std::function<bool(const MetricLine& line)>& take,
                         const std::string& kind = "");
struct MetricLines {
  std::vector<MetricLine> lines;
  std::vector<size_t> unread;
};
// The same, all lines together.
MetricLines read_metrics(const std::string& path);

// Another form of metrics.jsonl, made from it.
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
  // Has `mirror` get each line, too, from now on.
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
