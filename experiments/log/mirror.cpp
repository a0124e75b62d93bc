#include "experiments/log/mirror.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "core/base/c_locale.h"
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

// Several forms at a time, each until it fails.
class Mirrors : public Mirror {
 public:
  Mirrors(const std::vector<std::string>& forms, const std::string& folder, std::function<void(const std::string&)> note)
      : note_(std::move(note)) {
    const std::string path = folder + "/metrics.jsonl";
    MetricLines metrics;
    if (!attempt([&] { metrics = read_metrics(path); })) return;
    const size_t unread = metrics.unread.size();
    if (unread > 0) {
      note_(fmt::format("{}: {} left out of its other forms; the first is line {}", path,
                        unread == 1 ? "1 line cannot be read and is" : fmt::format("{} lines cannot be read and are", unread),
                        metrics.unread[0]));
    }
    for (const std::string& form : forms) {
      attempt([&] {
        if (form == "csv") mirrors_.push_back(std::make_unique<CsvMirror>(path, folder + "/metrics.csv", metrics.lines));
        if (form == "tensorboard")
          mirrors_.push_back(std::make_unique<TensorboardMirror>(folder + "/tensorboard", metrics.lines));
      });
    }
  }
  void write(const std::string& kind, const MetricFields& fields) override {
    std::erase_if(mirrors_, [&](auto& mirror) { return !attempt([&] { mirror->write(kind, fields); }); });
  }
  void sync() override {
    std::erase_if(mirrors_, [&](auto& mirror) { return !attempt([&] { mirror->sync(); }); });
  }

 private:
  // Whether it could be done.
  template <class Action> bool attempt(const Action& action) const {
    try {
      action();
      return true;
    } catch (const FileError& error) {
      note_(fmt::format("{}; the training goes on without this form of its metrics, and resuming the run makes it whole",
                        error.what()));
      return false;
    }
  }

  std::function<void(const std::string&)> note_;
  std::vector<std::unique_ptr<Mirror>> mirrors_;
};

}  // namespace

MetricLines read_metrics(const std::string& path) {
  const CLocale locale;
  MetricLines result;
  size_t number = 0;
  read_lines(path, [&](std::string_view text) {
    ++number;
    const auto json = nlohmann::ordered_json::parse(text, nullptr, false);
    if (!json.is_object() || !json.contains("kind") || !json["kind"].is_string()) {
      result.unread.push_back(number);
      return;
    }
    MetricLine line{json["kind"].get<std::string>(), {}};
    for (const auto& [key, value] : json.items()) {
      if (key != "kind") line.fields.emplace_back(key, value_of(value));
    }
    result.lines.push_back(std::move(line));
  });
  return result;
}

std::unique_ptr<Mirror> make_mirror(const std::vector<std::string>& forms, const std::string& folder,
                                    std::function<void(const std::string&)> note) {
  if (forms.empty()) return nullptr;
  return std::make_unique<Mirrors>(forms, folder, std::move(note));
}

}  // namespace az::experiments
