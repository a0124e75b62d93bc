#include "experiments/report/run_names.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
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
      return std::count_if(runs.begin(), runs.end(), [&](const RunData& other) {
               return ("/" + plain(other.folder).string()).ends_with("/" + label);
             }) > 1;
    };
    for (path = path.parent_path(); shared() && path.has_filename(); path = path.parent_path())
      label = path.filename().string() + "/" + label;
    const auto same = std::count(labels.begin(), labels.end(), label);
    labels.push_back(same ? fmt::format("{} ({})", label, same + 1) : label);
  }
  return labels;
}

// A config without the seed and what is for people.
std::string rest_of(const config::Value& config) {
  if (!config.is_object()) return "";
  config::Value::Object rest;
  for (const config::Member& member : config.as_object()) {
    if (member.key != "seed" && member.key != "name" && member.key != "description" && member.key != "$schema")
      rest.push_back(member);
  }
  return config::dump(rest);
}

// What the run was trained with, and the step after which it went on with something else.
std::string experiment_of(const RunData& run) {
  if (!run.config.is_object()) return run.folder;
  std::string all = rest_of(run.config), last;
  for (const TrainedWith& entry : run.history) {
    const std::string rest = rest_of(entry.config);
    if (!last.empty() && rest != last) all += fmt::format("\n{} until step {}", last, entry.step);
    last = rest;
  }
  return all;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The number that a text starts with, taken off it.
double take_number(std::string_view& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(size_t(end - text.data()));
  return error == std::errc() ? number : INFINITY;
}

}  // namespace

bool comes_before(std::string_view a, std::string_view b) {
  std::string_view x = a, y = b;
  while (!x.empty() && !y.empty()) {
    if (is_digit(x.front()) && is_digit(y.front())) {
      const double m = take_number(x), n = take_number(y);
      if (m != n) return m < n;
    } else {
      if (x.front() != y.front()) return x.front() < y.front();
      x.remove_prefix(1), y.remove_prefix(1);
    }
  }
  return x.empty() && y.empty() ? a < b : x.empty();
}

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
