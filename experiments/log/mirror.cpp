#include "experiments/log/mirror.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "experiments/log/csv.h"
#include "experiments/log/tensorboard.h"

namespace az::experiments {
namespace {

MetricValue value_of(const nlohmann::ordered_json& json) {
  if (json.is_number_integer()) return json.get<int64_t>();
  if (json.is_number()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  return std::optional<double>();
}

}  // namespace

std::vector<MetricLine> read_metrics(const std::string& path) {
  std::vector<MetricLine> lines;
  std::ifstream in(path);
  for (std::string text; std::getline(in, text);) {
    const auto json = nlohmann::ordered_json::parse(text, nullptr, false);
    if (!json.is_object() || !json.contains("kind") || !json["kind"].is_string())
      throw DataError(fmt::format("{}: line {} is not one of metrics", path, lines.size() + 1));
    MetricLine line{json["kind"].get<std::string>(), {}};
    for (const auto& [key, value] : json.items()) {
      if (key != "kind") line.fields.emplace_back(key, value_of(value));
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

std::vector<std::unique_ptr<Mirror>> make_mirrors(const std::vector<std::string>& forms, const std::string& folder) {
  std::vector<std::unique_ptr<Mirror>> mirrors;
  const std::string metrics = folder + "/metrics.jsonl";
  for (const std::string& form : forms) {
    if (form == "csv") mirrors.push_back(std::make_unique<CsvMirror>(metrics, folder + "/metrics.csv"));
    if (form == "tensorboard") mirrors.push_back(std::make_unique<TensorboardMirror>(metrics, folder + "/tensorboard"));
  }
  return mirrors;
}

}  // namespace az::experiments
