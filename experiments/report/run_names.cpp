#include "experiments/report/run_names.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/config/json_document.h"

namespace az::experiments {
namespace {

namespace fs = std::filesystem;

// Without a slash at the end, and never "." or "..".
fs::path plain(const std::string& folder) {
  fs::path path = fs::path(folder).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path == "." || path == ".." ? fs::weakly_canonical(path) : path;
}

std::vector<std::string> folder_labels(const std::vector<RunData>& runs) {
  std::vector<std::string> labels;
  for (const RunData& run : runs) {
    fs::path path = plain(run.folder);
    std::string label = path.filename().string();
    const auto shared = [&] {
      return std::count_if(runs.begin(), runs.end(),
                           [&](const RunData& other) { return ("/" + plain(other.folder).string()).ends_with("/" + label); }) > 1;
    };
    for (path = path.parent_path(); shared() && path.has_filename(); path = path.parent_path())
      label = path.filename().string() + "/" + label;
    const auto same = std::count(labels.begin(), labels.end(), label);
    labels.push_back(same ? fmt::format("{} ({})", label, same + 1) : label);
  }
  return labels;
}

std::string experiment_of(const RunData& run) {
  if (!run.config.is_object()) return run.folder;
  config::Value::Object rest;
  for (const config::Member& member : run.config.as_object()) {
    if (member.key != "seed" && member.key != "name" && member.key != "description" && member.key != "$schema")
      rest.push_back(member);
  }
  return config::dump(rest);
}

}  // namespace

std::vector<std::string> labels_of(const std::vector<RunData>& runs) {
  std::vector<std::string> names;
  for (const RunData& run : runs) names.push_back(string_at(run.config, "name"));
  const std::set<std::string> distinct(names.begin(), names.end());
  return distinct.size() == names.size() && !distinct.count("") ? names : folder_labels(runs);
}

std::vector<size_t> experiments_of(const std::vector<RunData>& runs) {
  std::vector<std::string> known;
  std::vector<size_t> numbers;
  for (const RunData& run : runs) {
    const std::string experiment = experiment_of(run);
    const auto found = std::find(known.begin(), known.end(), experiment);
    numbers.push_back(size_t(found - known.begin()));
    if (found == known.end()) known.push_back(experiment);
  }
  return numbers;
}

}  // namespace az::experiments
