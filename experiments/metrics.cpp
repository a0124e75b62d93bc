#include "experiments/metrics.h"

#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "experiments/files.h"

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

MetricsLog::MetricsLog(const std::string& path, int64_t keep_bytes) : path_(path) {
  file_ = std::fopen(path.c_str(), "ab");
  if (!file_) fail("cannot write {}: {}", path, std::strerror(errno));
  if (::flock(::fileno(file_), LOCK_EX | LOCK_NB) != 0) {
    std::fclose(file_);
    fail("another program is writing to {}; two cannot train in one run folder", path);
  }
  bytes_ = int64_t(read_file(path).substr(0, size_t(keep_bytes)).rfind('\n') + 1);  // 0 where there is none
  if (::ftruncate(::fileno(file_), bytes_) != 0) fail("cannot write {}: {}", path, std::strerror(errno));
}

MetricsLog::~MetricsLog() { std::fclose(file_); }

void MetricsLog::write(const std::string& kind, const MetricFields& fields) {
  const std::string line = metrics_line(kind, fields);
  if (std::fwrite(line.data(), 1, line.size(), file_) != line.size() || std::fflush(file_) != 0) {
    fail("cannot write {}: {}", path_, std::strerror(errno));
  }
  bytes_ += int64_t(line.size());
  for (const auto& mirror : mirrors_) mirror->write(kind, fields);
}

void MetricsLog::sync() {
  if (::fsync(::fileno(file_)) != 0) fail("cannot write {}: {}", path_, std::strerror(errno));
}

}  // namespace az::experiments
