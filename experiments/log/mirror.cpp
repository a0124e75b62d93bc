#include "experiments/log/mirror.h"

#include <fmt/core.h>

#include "experiments/log/csv.h"
#include "experiments/log/tensorboard.h"

namespace az::experiments {
namespace {

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
          mirrors_.push_back(
              std::make_unique<TensorboardMirror>(folder + "/tensorboard", read_measurements(folder), metrics.lines));
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
  // Calls action() and says whether it could be done; a note says why it could not.
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

std::unique_ptr<Mirror> make_mirror(const std::vector<std::string>& forms, const std::string& folder,
                                    std::function<void(const std::string&)> note) {
  if (forms.empty()) return nullptr;
  return std::make_unique<Mirrors>(forms, folder, std::move(note));
}

}  // namespace az::experiments
