#include "experiments/report/run_data.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "core/base/c_locale.h"
#include "core/base/files.h"
#include "core/config/json_document.h"

namespace az::experiments {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

double number(const Json& line, const std::string& name) {
  const auto found = line.find(name);
  return found != line.end() && found->is_number() ? found->get<double>() : NAN;
}

std::string text(const Json& line, const std::string& name) {
  const auto found = line.find(name);
  return found != line.end() && found->is_string() ? found->get<std::string>() : "";
}

// Gathers a table line by line.
class Rows {
 public:
  explicit Rows(const std::vector<std::string>& names) {
    for (const std::string& name : names) table_.columns[name];
  }
  void add(double step, const Json& line) {
    table_.step.push_back(step);
    for (auto& [name, column] : table_.columns) column.push_back(name == "fired" ? fired(line) : number(line, name));
    if (const auto radial = table_.columns.find("radial"); radial != table_.columns.end())
      radial->second.back() = std::abs(radial->second.back());
  }
  // Ascending; of lines for one step the last counts.
  Table table() const {
    std::vector<size_t> order(table_.rows());
    std::iota(order.begin(), order.end(), size_t(0));
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return table_.step[a] < table_.step[b]; });
    std::vector<size_t> kept;
    for (size_t i = 0; i < order.size(); ++i) {
      if (i + 1 == order.size() || table_.step[order[i]] != table_.step[order[i + 1]]) kept.push_back(order[i]);
    }
    Table result;
    for (size_t i : kept) result.step.push_back(table_.step[i]);
    for (const auto& [name, column] : table_.columns) {
      std::vector<double>& to = result.columns[name];
      for (size_t i : kept) to.push_back(column[i]);
    }
    return result;
  }

 private:
  static double fired(const Json& line) {
    const std::string view = text(line, "projected");
    return view == "none" ? 0 : view == "channel" ? fired_by_channel : view == "layer" ? fired_by_layer : NAN;
  }

  Table table_;
};

struct PathRows {
  std::string optimizer;
  double beta;
  std::vector<double> target;
  Rows rows{{"x", "y", "z", "loss", "norm"}};
};

// Names in the order they came up, with what belongs to each.
template <class T> struct Named {
  std::vector<std::string> names;
  std::map<std::string, T> by_name;
  template <class Make> T& get(const std::string& name, const Make& make) {
    const auto found = by_name.find(name);
    if (found != by_name.end()) return found->second;
    names.push_back(name);
    return by_name.emplace(name, make()).first->second;
  }
};

// The lines of metrics.jsonl, by kind.
struct Metrics {
  Rows steps{{"epoch", "lr", "loss"}};
  Rows epochs{{"epoch", "lr", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "test_loss",
               "test_accuracy", "seconds"}};
  Named<Rows> layers;
  Named<PathRows> paths;

  // False where the line is none of metrics.
  bool add(std::string_view content) {
    const Json line = Json::parse(content, nullptr, false);
    if (!line.is_object() || text(line, "kind").empty()) return false;
    const std::string kind = text(line, "kind");
    const double step = number(line, "step");
    const bool placed = step >= 0 && step < 9e15;
    if (kind == "step" && placed) {
      steps.add(step, line);
    } else if (kind == "epoch" && placed) {
      epochs.add(step, line);
    } else if (kind == "scale_invariance" && placed && !text(line, "parameter").empty()) {
      layers.get(text(line, "parameter"), [] { return Rows(probe_columns()); }).add(step, line);
    } else if (kind == "path" && placed) {
      paths
          .get(text(line, "series"),
               [&] {
                 return PathRows{.optimizer = text(line, "optimizer"),
                                 .beta = number(line, "beta"),
                                 .target = {number(line, "target_x"), number(line, "target_y"), number(line, "target_z")}};
               })
          .rows.add(step, line);
    } else {
      return kind != "step" && kind != "epoch" && kind != "scale_invariance" &&
             kind != "path";  // another's probe may say anything
    }
    return true;
  }
};

std::string counted(size_t count, const char* one, const char* many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

Metrics metrics_of(const std::string& path, std::vector<std::string>& notes) {
  const CLocale locale;
  Metrics metrics;
  size_t count = 0, unread = 0, first = 0;
  bool cut = false;
  try {
    read_lines(path, [&](std::string_view line) {
      ++count;
      if (line == "\n" || metrics.add(line)) return;
      cut = line.back() != '\n';
      if (!cut && unread++ == 0) first = count;
    });
  } catch (const FileError& error) {
    const bool absent = error.reason == std::errc::no_such_file_or_directory;
    notes.push_back(absent ? "There is no metrics.jsonl: nothing was trained here yet."
                           : fmt::format("metrics.jsonl cannot be read: {}.", error.reason.message()));
  }
  if (unread > 0)
    notes.push_back(fmt::format("metrics.jsonl: {} left out; the first is line {}.",
                                counted(unread, "line cannot be read and is", "lines cannot be read and are"), first));
  if (cut) notes.push_back("metrics.jsonl: the last line is cut off and left out.");
  return metrics;
}

config::Value read_json(const std::string& folder, const std::string& name, std::vector<std::string>& notes) {
  const std::string path = folder + "/" + name;
  if (is_absent(path)) return {};
  try {
    config::Value value = config::parse_file(path);
    if (value.is_object()) return value;
    notes.push_back(name + " is not an object and left out.");
  } catch (const Error& error) {
    notes.push_back(fmt::format("{} cannot be read and is left out: {}", name, error.what()));
  }
  return {};
}

// Keeps the elements of object[key] that fit; a list where there was none. What is left out is noted.
template <class Fits> void keep_fitting(config::Value& object, const std::string& key, const std::string& name,
                                        const Fits& fits, std::vector<std::string>& notes) {
  config::Value::Array kept;
  const config::Value& value = value_at(object, key);
  if (value.is_array()) std::copy_if(value.as_array().begin(), value.as_array().end(), std::back_inserter(kept), fits);
  if (!value.is_array() || kept.size() != value.as_array().size())
    notes.push_back(fmt::format("{}: \"{}\" is not what it should be, so that some of it is left out.", name, key));
  object[key] = kept;
}

void check_shapes(RunData& run) {
  const auto is_object = [](const config::Value& value) { return value.is_object(); };
  if (run.lesson.is_object()) keep_fitting(run.lesson, "rows", "lesson.json", is_object, run.notes);
  if (!run.invariance.is_object()) return;
  const auto is_named = [](const config::Value& value) { return !string_at(value, "name").empty(); };
  keep_fitting(run.invariance, "parameters", "invariance.json", is_named, run.notes);
  for (config::Value& parameter : run.invariance["parameters"].as_array())
    keep_fitting(parameter, "scaled", "invariance.json, " + string_at(parameter, "name"), is_object, run.notes);
}

// The first step at which a column has no number, and at how many that is so.
void note_gaps(const Table& table, const std::string& column, const std::string& words, std::vector<std::string>& notes) {
  const auto& values = table.columns.at(column);
  const auto gap = std::find_if(values.begin(), values.end(), [](double x) { return std::isnan(x); });
  if (gap == values.end()) return;
  const auto count = std::count_if(gap, values.end(), [](double x) { return std::isnan(x); });
  notes.push_back(fmt::format("{} from step {} on, at {} of {} steps noted.", words, table.step[size_t(gap - values.begin())],
                              count, values.size()));
}

// Of a run that diverged all layers are like the first.
void note_norms(const RunData& run, std::vector<std::string>& notes) {
  std::vector<std::string> gaps;
  for (size_t i = 0; i < run.layers.size(); ++i)
    note_gaps(run.probe[i], "norm", "The norm of " + run.layers[i] + " is not a finite number", gaps);
  if (gaps.size() > 1)
    gaps.front() += " " + counted(gaps.size() - 1, "more parameter has such gaps.", "more parameters have such gaps.");
  if (!gaps.empty()) notes.push_back(gaps.front());
}

void note_zeros(const RunData& run, std::vector<std::string>& notes) {
  for (size_t i = 0; i < run.layers.size(); ++i) {
    const auto& norm = run.probe[i].columns.at("norm");
    if (std::find(norm.begin(), norm.end(), 0.0) == norm.end()) continue;
    notes.push_back(run.layers[i] + " is all zeros at times: it has no direction then, and neither step nor angle.");
  }
}

}  // namespace

const std::vector<std::string>& probe_columns() {
  static const std::vector<std::string> columns = {
      "epoch",        "norm",           "gradient_norm", "scaled_cosine",     "scaled_channel_cosine_max",
      "effective_lr", "effective_step", "angle",         "equilibrium_angle", "radial",
      "tangential",   "fired"};
  return columns;
}

bool holds_run(const std::string& folder) {
  for (const char* name : {"config.json", "metrics.jsonl", "lesson.json"}) {
    std::error_code unknown;
    if (fs::is_regular_file(folder + "/" + name, unknown)) return true;
  }
  return false;
}

RunData read_run(const std::string& folder) {
  RunData run;
  run.folder = folder;
  std::error_code unreadable;
  const fs::file_status status = fs::status(folder + "/.", unreadable);  // as may be told of a folder that may be entered
  if (status.type() == fs::file_type::none)
    throw ConfigError(absolute_path(folder) + " cannot be read: " + unreadable.message());
  if (!fs::is_directory(status))
    throw ConfigError(absolute_path(folder) + " is not there: a report is made of run folders, which `azimuth train` makes");
  if (!holds_run(folder))
    throw ConfigError(absolute_path(folder) + " is not a run folder: it has neither config.json nor metrics.jsonl");
  run.config = read_json(folder, "config.json", run.notes);
  try {
    run.history = read_history(folder);
  } catch (const Error& error) {
    run.notes.push_back(std::string(error.what()) + ".");
  }
  run.environment = read_json(folder, "environment.json", run.notes);
  run.invariance = read_json(folder, "invariance.json", run.notes);
  run.lesson = read_json(folder, "lesson.json", run.notes);
  check_shapes(run);
  const Metrics metrics = metrics_of(folder + "/metrics.jsonl", run.notes);
  run.steps = metrics.steps.table();
  run.epochs = metrics.epochs.table();
  run.layers = metrics.layers.names;
  std::set<double> watched;
  for (const std::string& layer : run.layers) {
    run.probe.push_back(metrics.layers.by_name.at(layer).table());
    watched.insert(run.probe.back().step.begin(), run.probe.back().step.end());
  }
  const std::vector<double> steps(watched.begin(), watched.end());
  for (const std::string& name : metrics.paths.names) {
    const PathRows& path = metrics.paths.by_name.at(name);
    run.paths.push_back({name, path.optimizer, path.beta, path.target, path.rows.table()});
  }
  note_gaps(run.steps, "loss", "The loss is not a finite number", run.notes);
  note_norms(run, run.notes);
  for (Table& layer : run.probe) layer = aligned(layer, steps);
  note_zeros(run, run.notes);
  return run;
}

const config::Value& value_at(const config::Value& object, std::string_view path) {
  static const config::Value none;
  if (!object.is_object()) return none;
  const size_t dot = path.find('.');
  const config::Value* found = object.find(path.substr(0, dot));
  if (!found) return none;
  return dot == std::string::npos ? *found : value_at(*found, path.substr(dot + 1));
}

double number_at(const config::Value& object, const std::string& path, double otherwise) {
  const config::Value& value = value_at(object, path);
  return value.is_number() ? value.as_double() : otherwise;
}

std::string string_at(const config::Value& object, const std::string& path) {
  const config::Value& value = value_at(object, path);
  return value.is_string() ? value.as_string() : "";
}

}  // namespace az::experiments
