#include "experiments/metrics.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/c_locale.h"
#include "core/base/error.h"
#include "experiments/json_text.h"

namespace az::experiments {
namespace {

using Json = nlohmann::ordered_json;

// Writes what metrics_line() begins with.
JsonText& begin(JsonText& json, const std::string& kind) { return json.raw("{").key("kind").value(kind); }

MetricValue value_of(const Json& json) {
  if (json.is_number_unsigned() && json.get<uint64_t>() > uint64_t(INT64_MAX)) return json.get<double>();
  if (json.is_number_integer()) return json.get<int64_t>();
  if (json.is_number()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  return std::optional<double>();
}

// Returns the line that the text is, or nothing where it is no line of metrics.
std::optional<MetricLine> line_of(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("kind") || !json["kind"].is_string()) return {};
  MetricLine line{json["kind"].get<std::string>(), {}};
  if (line.kind.empty()) return {};
  for (const auto& [key, value] : json.items()) {
    if (key != "kind") line.fields.emplace_back(key, value_of(value));
  }
  return line;
}

}  // namespace

void add_score(MetricFields& fields, const std::string& prefix, const Score& score) {
  fields.emplace_back(prefix + "_loss", score.loss());
  fields.emplace_back(prefix + "_accuracy", score.accuracy());
  fields.emplace_back(prefix + "_top5", score.top5_accuracy());
}

config::Value to_value(const MetricValue& value) {
  const auto finite = [](double x) { return std::isfinite(x) ? config::Value(x) : config::Value(); };
  if (const auto* perhaps = std::get_if<std::optional<double>>(&value)) return finite(perhaps->value_or(NAN));
  if (const auto* number = std::get_if<double>(&value)) return finite(*number);
  if (const auto* count = std::get_if<int64_t>(&value)) return *count;
  return std::get<std::string>(value);
}

std::string metrics_line(const std::string& kind, const MetricFields& fields) {
  JsonText line;
  begin(line, kind);
  for (const auto& [name, value] : fields) line.key(name).value(to_value(value));
  return line.raw("}\n").take();
}

const MetricValue* MetricLine::find(std::string_view key) const {
  for (const auto& [name, value] : fields) {
    if (name == key) return &value;
  }
  return nullptr;
}

double MetricLine::number(std::string_view key) const {
  struct ToNumber {
    double operator()(int64_t x) const { return double(x); }
    double operator()(double x) const { return x; }
    double operator()(const std::optional<double>& x) const { return x.value_or(NAN); }
    double operator()(const std::string&) const { return NAN; }
  };
  const MetricValue* found = find(key);
  return found ? std::visit(ToNumber{}, *found) : NAN;
}

std::string MetricLine::text(std::string_view key) const {
  const MetricValue* found = find(key);
  const std::string* text = found ? std::get_if<std::string>(found) : nullptr;
  return text ? *text : "";
}

UnreadLines read_metrics(const std::string& path, const std::function<bool(const MetricLine& line)>& take,
                         const std::string& kind) {
  const CLocale locale;
  JsonText start;
  const std::string prefix = kind.empty() ? "" : begin(start, kind).raw(",").take();
  UnreadLines unread;
  size_t place = 0;
  read_lines(path, [&](std::string_view text) {
    ++place;
    if (text == "\n" || !text.starts_with(prefix)) return;
    std::optional<MetricLine> line = line_of(text);
    if (line) line->place = place;
    if (line && take(*line)) return;
    unread.places.push_back(place);
    unread.cut = text.back() != '\n';
  });
  return unread;
}

MetricLines read_metrics(const std::string& path) {
  MetricLines result;
  result.unread = read_metrics(path, [&](const MetricLine& line) {
                    result.lines.push_back(line);
                    return true;
                  }).places;
  return result;
}

MetricsLog::MetricsLog(const std::string& path, int64_t keep_bytes) : file_(path) {
  if (!file_.lock()) fail("another program is writing to {}; two cannot train in one run folder", path);
  bytes_ = int64_t(read_file(path).substr(0, size_t(keep_bytes)).rfind('\n') + 1);  // 0 where there is none
  file_.resize(bytes_);
}

void MetricsLog::write(const std::string& kind, const MetricFields& fields) {
  const std::string line = metrics_line(kind, fields);
  file_.write(line);
  bytes_ += int64_t(line.size());
  if (mirror_) mirror_->write(kind, fields);
}

void MetricsLog::sync() {
  file_.sync();
  if (mirror_) mirror_->sync();
}

}  // namespace az::experiments
