#include "experiments/metrics.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/error.h"

namespace az::experiments {
namespace {

using Json = nlohmann::ordered_json;

Json number(double x) { return std::isfinite(x) ? Json(x) : Json(nullptr); }

struct ToJson {
  Json operator()(int64_t x) const { return x; }
  Json operator()(double x) const { return number(x); }
  Json operator()(const std::string& x) const { return x; }
  Json operator()(const std::optional<double>& x) const { return x ? number(*x) : Json(nullptr); }
};

}  // namespace

void add_score(MetricFields& fields, const std::string& prefix, const Score& score) {
  fields.emplace_back(prefix + "_loss", score.loss());
  fields.emplace_back(prefix + "_accuracy", score.accuracy());
  fields.emplace_back(prefix + "_top5", score.top5_accuracy());
}

std::string metrics_line(const std::string& kind, const MetricFields& fields) {
  Json line = {{"kind", kind}};
  for (const auto& [name, value] : fields) line[name] = std::visit(ToJson{}, value);
  // A path need not be UTF-8; JSON is.
  return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
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
