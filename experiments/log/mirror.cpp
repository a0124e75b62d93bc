#include "experiments/log/mirror.h"

#include <fmt/core.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/c_locale.h"
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

MetricLines read_metrics(const std::string& path) {
  const CLocale locale;
  MetricLines result;
  std::ifstream in(path);
  size_t number = 0;
  for (std::string text; std::getline(in, text);) {
    ++number;
    const auto json = nlohmann::ordered_json::parse(text, nullptr, false);
    if (!json.is_object() || !json.contains("kind") || !json["kind"].is_string()) {
      result.unread.push_back(number);
      continue;
    }
    MetricLine line{json["kind"].get<std::string>(), {}};
    for (const auto& [key, value] : json.items()) {
      if (key != "kind") line.fields.emplace_back(key, value_of(value));
    }
    result.lines.push_back(std::move(line));
  }
  return result;
}

std::vector<std::unique_ptr<Mirror>> make_mirrors(const std::vector<std::string>& forms, const std::string& folder) {
  std::vector<std::unique_ptr<Mirror>> mirrors;
  if (forms.empty()) return mirrors;
  const std::string path = folder + "/metrics.jsonl";
  const auto [lines, unread] = read_metrics(path);
  if (!unread.empty()) {
    fmt::print(
        stderr, "azimuth: note: {}: {} left out of its other forms; the first is line {}\n", path,
        unread.size() == 1 ? "1 line cannot be read and is" : fmt::format("{} lines cannot be read and are", unread.size()),
        unread[0]);
  }
  for (const std::string& form : forms) {
    if (form == "csv") mirrors.push_back(std::make_unique<CsvMirror>(path, folder + "/metrics.csv", lines));
    if (form == "tensorboard") mirrors.push_back(std::make_unique<TensorboardMirror>(folder + "/tensorboard", lines));
  }
  return mirrors;
}

}  // namespace az::experiments
