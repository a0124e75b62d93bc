#include "experiments/log/csv.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

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
  or_remove([&] { make_anew(lines); });
}

template <class Action> void CsvMirror::or_remove(const Action& action) const {
  try {
    action();
  } catch (const FileError&) {
    std::error_code stays;
    if (std::filesystem::is_regular_file(std::filesystem::symlink_status(path_, stays))) std::filesystem::remove(path_, stays);
    throw;
  }
}

void CsvMirror::make_anew(const std::vector<MetricLine>& lines) {
  columns_.clear();
  for (const MetricLine& line : lines) {
    for (const auto& [key, value] : line.fields) {
      if (std::find(columns_.begin(), columns_.end(), key) == columns_.end()) columns_.push_back(key);
    }
  }
  std::string table = "kind";
  for (const std::string& column : columns_) table += ',' + csv_cell(column);
  table += "\r\n";
  for (const MetricLine& line : lines) table += row(line.kind, line.fields);
  write_file(path_, table);
  file_.emplace(path_);
}

void CsvMirror::write(const std::string& kind, const MetricFields& fields) {
  const bool known = std::all_of(fields.begin(), fields.end(), [&](const auto& field) {
    return std::find(columns_.begin(), columns_.end(), field.first) != columns_.end();
  });
  or_remove([&] {
    if (known) return file_->write(row(kind, fields));
    make_anew(read_metrics(metrics_).lines);  // metrics.jsonl has this line already
  });
}

void CsvMirror::sync() {
  or_remove([&] { file_->sync(); });
}

std::string CsvMirror::row(const std::string& kind, const MetricFields& fields) const {
  std::string cells = csv_cell(kind);
  for (const std::string& column : columns_) {
    const auto found = std::find_if(fields.begin(), fields.end(), [&](const auto& field) { return field.first == column; });
    cells += ',' + (found == fields.end() ? "" : std::visit(ToCell{}, found->second));
  }
  return cells + "\r\n";
}

}  // namespace az::experiments
