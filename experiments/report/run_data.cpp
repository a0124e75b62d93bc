#include "experiments/report/run_data.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "core/base/files.h"
#include "core/config/json_document.h"
#include "experiments/lessons/toy.h"
#include "experiments/metrics.h"
#include "experiments/probes/scale_invariance.h"
#include "experiments/report/series.h"
#include "experiments/training_lines.h"

namespace az::experiments {
namespace {

namespace fs = std::filesystem;

std::string counted(size_t count, const char* one, const char* many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

// What the folder declares, or else what is built in.
Measurements declared_in(const std::string& folder, std::vector<std::string>& notes) {
  const Measurements built_in = built_in_measurements();
  Measurements declared = built_in;
  try {
    const Measurements recorded = read_measurements(folder);
    for (const Measurement& one : recorded.kinds) declared.add(one);
    declared.norm_rule = recorded.norm_rule;
    // What the page's own code reads stays what it is.
    for (const Measurement& one : built_in.kinds) {
      for (const Quantity& quantity : one.quantities) {
        const Quantity& now = *declared.find(one.kind)->find(quantity.key);
        if (now.per != quantity.per || now.words != quantity.words) declared.add({one.kind, {quantity}});
      }
    }
  } catch (const Error& error) {
    notes.push_back(fmt::format("measurements.json cannot be read and is left out: {}.", error.what()));
  }
  return declared;
}

Gathered metrics_of(const std::string& path, const Measurements& declared, std::vector<std::string>& notes) {
  Gathered metrics(declared);
  UnreadLines unread;
  try {
    unread = read_metrics(path, [&](const MetricLine& line) { return metrics.add(line); });
  } catch (const FileError& error) {
    const bool absent = error.reason == std::errc::no_such_file_or_directory;
    notes.push_back(absent ? "There is no metrics.jsonl: nothing was trained here yet."
                           : fmt::format("metrics.jsonl cannot be read: {}.", error.reason.message()));
  }
  if (const size_t count = unread.places.size() - unread.cut; count > 0)
    notes.push_back(fmt::format("metrics.jsonl: {} left out; the first is line {}.",
                                counted(count, "line cannot be read and is", "lines cannot be read and are"),
                                unread.places[0]));
  if (unread.cut) notes.push_back("metrics.jsonl: the last line is cut off and left out.");
  for (const std::string& kind : metrics.undeclared())
    notes.push_back(
        fmt::format("metrics.jsonl holds lines of kind \"{}\", which no probe declared; they are not drawn.", kind));
  return metrics;
}

config::Value read_json(const std::string& folder, const std::string& name, std::vector<std::string>& notes) {
  const std::string path = folder + "/" + name;
  try {
    if (!is_there(path)) return {};
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

// Gives all their tables the same steps.
void align(Subjects& subjects) {
  std::set<double> watched;
  for (const Table& table : subjects.tables) watched.insert(table.step.begin(), table.step.end());
  const std::vector<double> steps(watched.begin(), watched.end());
  for (Table& table : subjects.tables) table = aligned(table, steps);
}

// Notes the first layer alone: once a run has diverged, all layers have such gaps.
void note_norms(const Subjects& parameters, std::vector<std::string>& notes) {
  std::vector<std::string> gaps;
  for (size_t i = 0; i < parameters.names.size(); ++i)
    note_gaps(parameters.tables[i], "norm", "The norm of " + parameters.names[i] + " is not a finite number", gaps);
  if (gaps.size() > 1)
    gaps.front() += " " + counted(gaps.size() - 1, "more parameter has such gaps.", "more parameters have such gaps.");
  if (!gaps.empty()) notes.push_back(gaps.front());
}

void note_zeros(const Subjects& parameters, std::vector<std::string>& notes) {
  for (size_t i = 0; i < parameters.names.size(); ++i) {
    const auto& norm = parameters.tables[i].columns.at("norm");
    if (std::find(norm.begin(), norm.end(), 0.0) == norm.end()) continue;
    notes.push_back(parameters.names[i] + " is all zeros at times: it has no direction then, and neither step nor angle.");
  }
}

}  // namespace

Measurements built_in_measurements() {
  return {{step_measurement(), epoch_measurement(), {"scale_invariance", ScaleInvariance::quantities()}, path_measurement()}};
}

bool Series::empty() const {
  return table.rows() == 0 && std::all_of(about.begin(), about.end(), [](const auto& one) { return one.second.names.empty(); });
}

bool RunData::trained() const {
  const auto is_empty = [](const auto& one) { return one.second.empty(); };
  return !paths.empty() || !std::all_of(series.begin(), series.end(), is_empty);
}

bool holds_run(const std::string& folder) {
  for (const char* name : {"config.json", "metrics.jsonl", "lesson.json"}) {
    if (is_there(folder + "/" + name)) return true;
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
    throw ConfigError(absolute_path(folder) + (is_there(folder) ? " is a file" : " is not there") +
                      ": a report is made of run folders, which `azimuth train` makes");
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
  run.declared = declared_in(folder, run.notes);
  const Gathered metrics = metrics_of(folder + "/metrics.jsonl", run.declared, run.notes);
  run.series = metrics.series();
  run.paths = metrics.paths();
  note_gaps(run.series.at("step").table, "loss", "The loss is not a finite number", run.notes);
  const Subjects& parameters = run.series.at("scale_invariance").about.at("parameter");
  note_norms(parameters, run.notes);
  note_zeros(parameters, run.notes);
  for (auto& [kind, series] : run.series) {
    for (auto& [subject, subjects] : series.about) align(subjects);
  }
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
