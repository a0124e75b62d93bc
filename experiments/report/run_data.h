#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/config/value.h"
#include "experiments/history.h"
#include "experiments/report/table.h"

namespace az::experiments {

// A toy's way: x, y, perhaps z, loss and norm against iterations.
struct Path {
  std::string series, optimizer;
  double beta = 0;             // NaN: none
  std::vector<double> target;  // x, y, z of a point in the direction it should take, NaN: none
  Table points;
};

// What a run's folder says, as far as it can be read.
struct RunData {
  std::string folder;
  config::Value config, environment, invariance, lesson;  // null where the file is missing or damaged
  std::vector<TrainedWith> history;                       // empty there
  std::vector<std::string> notes;                         // on what is missing, damaged or not finite, a sentence each
  Table steps;                                            // epoch, lr, loss
  Table epochs;                                           // epoch, lr, {train,validation,test}_{loss,accuracy}, seconds
  std::vector<std::string> layers;                        // the parameters that the probe watched, in its order
  std::vector<Table> probe;                               // of each, all at the same steps: probe_columns()
  std::vector<Path> paths;

  bool trained() const { return steps.rows() + epochs.rows() + probe.size() + paths.size() > 0; }
};

// Numbers for the view on which a step's projection fired, in the column "fired"; 0 where it did not.
constexpr double fired_by_channel = 1, fired_by_layer = 2;

// What is taken from lines of kind scale_invariance (probes/scale_invariance.h); radial without its sign.
const std::vector<std::string>& probe_columns();

// Whether a folder is one of a run or a lesson: it holds config.json, metrics.jsonl or lesson.json.
bool holds_run(const std::string& folder);

// Reads config.json, environment.json, metrics.jsonl, invariance.json and lesson.json. Parts of a shape that
// the page cannot draw are left out, with a note. Throws ConfigError where !holds_run(folder).
RunData read_run(const std::string& folder);

// obj.a.b of "a.b"; null where it is not there.
const config::Value& value_at(const config::Value& object, std::string_view path);
// A number there, or `otherwise`.
double number_at(const config::Value& object, const std::string& path, double otherwise);
std::string string_at(const config::Value& object, const std::string& path);

}  // namespace az::experiments
