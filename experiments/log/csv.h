#pragma once

#include <optional>

#include "core/base/files.h"
#include "experiments/log/mirror.h"

namespace az::experiments {

// Returns a cell as RFC 4180 wants it: in quotes where it has a comma, a quote or a line break.
std::string csv_cell(const std::string& text);

// One table of all lines, RFC 4180: "kind", then a column for each key in the order they came up, empty where a line lacks it
// or is null. A new key makes the file anew. One that a write has failed for is deleted: lines are missing.
class CsvMirror : public Mirror {
 public:
  // Writes `lines`, which the file `metrics` holds, to the file `path`.
  CsvMirror(std::string metrics, std::string path, const std::vector<MetricLine>& lines);
  void write(const std::string& kind, const MetricFields& fields) override;
  void sync() override;

 private:
  void make_anew(const std::vector<MetricLine>& lines);
  std::string row(const std::string& kind, const MetricFields& fields) const;
  template <class Action> void or_remove(const Action& action) const;

  std::string metrics_, path_;
  std::vector<std::string> columns_;
  std::optional<OutputFile> file_;
};

}  // namespace az::experiments
