#include "experiments/log/csv.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace az::experiments {
namespace {

struct ToCell {
  std::string operator()(int64_t x) const { return std::to_string(x); }
  std::string operator()(double x) const { return std::isfinite(x) ? fmt::format("{}", x) : ""; }
  std::string operator()(const std::optional<double>& x) const { return x ? (*this)(*x) : ""; }
  std::string operator()(const std::string& x) const { return csv_cell(x); }
};

}  // namespace

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

CsvMirror::CsvMirror(std::string metrics, std::string path, const std::vector<MetricLine>& lines)
    : metrics_(std::move(metrics)), path_(std::move(path)) {
  make_anew(lines);
}

void CsvMirror::make_anew(const std::vector<MetricLine>& lines) {
  columns_.clear();
  for (const MetricLine& line : lines) {
    for (const auto& [key, value] : line.fields) {
      if (std::find(columns_.begin(), columns_.end(), key) == columns_.end()) columns_.push_back(key);
    }
  }
  out_ = std::ofstream(path_, std::ios::binary);
  out_ << "kind";
  for (const std::string& column : columns_) out_ << ',' << ToCell{}(column);
  out_ << "\r\n";
  for (const MetricLine& line : lines) write_row(line.kind, line.fields);
  if (!out_.flush()) fail("cannot write {}", path_);
}

void CsvMirror::write(const std::string& kind, const MetricFields& fields) {
  const bool known = std::all_of(fields.begin(), fields.end(), [&](const auto& field) {
    return std::find(columns_.begin(), columns_.end(), field.first) != columns_.end();
  });
  if (!known) return make_anew(read_metrics(metrics_).lines);  // metrics.jsonl has this line already
  write_row(kind, fields);
  if (!out_.flush()) fail("cannot write {}", path_);
}

void CsvMirror::write_row(const std::string& kind, const MetricFields& fields) {
  out_ << ToCell{}(kind);
  for (const std::string& column : columns_) {
    const auto found = std::find_if(fields.begin(), fields.end(), [&](const auto& field) { return field.first == column; });
    out_ << ',' << (found == fields.end() ? "" : std::visit(ToCell{}, found->second));
  }
  out_ << "\r\n";
}

}  // namespace az::experiments
