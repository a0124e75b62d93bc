#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/value.h"
#include "experiments/history.h"
#include "experiments/measurement.h"
#include "experiments/report/table.h"

namespace az::experiments {

// A toy's way: x, y, perhaps z, loss and norm against iterations.
struct Path {
  std::string series, optimizer;
  double beta = 0;             // NaN: none
  std::vector<double> target;  // x, y, z of a point in the direction it should take, NaN: none
  Table points;
};

// What lines are about, in the order it came up, and the numbers of each.
struct Subjects {
  std::vector<std::string> names = {};
  std::vector<Table> tables = {};
};
// The numbers of one kind of lines, as it declares them, and the epoch.
struct Series {
  Table table;                            // of lines that are about the step as a whole
  std::map<std::string, Subjects> about;  // of all others, by what they are about: each of line_subjects is there

  bool empty() const;  // whether there are no lines
};

// What a run's folder says, as far as it can be read.
struct RunData {
  std::string folder;
  config::Value config, environment, invariance, lesson;  // null where the file is missing or damaged
  std::vector<TrainedWith> history;                       // empty there
  std::vector<std::string> notes;                         // on what is missing, damaged or not finite, a sentence each
  Measurements declared;                                  // what its lines may hold: "step", "epoch" and "scale_invariance" are
  std::map<std::string, Series> series;                   // of each kind declared; parameters at the same steps, and modules
  std::vector<Path> paths;                                // of lines of kind "path"

  bool trained() const;
};

// What is built in declares.
Measurements built_in_measurements();

// Whether a folder is one of a run or a lesson: it holds config.json, metrics.jsonl or lesson.json.
bool holds_run(const std::string& folder);

// Reads config.json, environment.json, measurements.json, metrics.jsonl, invariance.json and lesson.json. What is built in is
// declared in any case, for folders of older versions. A kind of lines that nobody declares is noted. Parts of a shape that
// the page cannot draw are left out, with a note. Throws ConfigError where !holds_run(folder).
RunData read_run(const std::string& folder);

// obj.a.b of "a.b"; null where it is not there.
const config::Value& value_at(const config::Value& object, std::string_view path);
// A number there, or `otherwise`.
double number_at(const config::Value& object, const std::string& path, double otherwise);
std::string string_at(const config::Value& object, const std::string& path);

}  // namespace az::experiments
