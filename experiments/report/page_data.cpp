#include "experiments/report/page_data.h"

#include <algorithm>
#include <cmath>

#include "experiments/lessons/comparison.h"
#include "experiments/report/json_text.h"
#include "experiments/report/norm_identity.h"
#include "experiments/report/run_names.h"

namespace az::experiments {
namespace {

// How many numbers of layers a page holds, and how many points a line or a path.
constexpr size_t most_numbers = 1'000'000, most_points = 1000, most_path_points = 2000;

// What a layer's table gets beside what the probe saw: measured and predicted squares of the norm, and the cosines at which the
// projection fired, by channel and on the layer as a whole.
void derive(Table& table, const NormRule& rule) {
  auto& columns = table.columns;
  std::vector<double> squared = columns.at("norm"), channel = columns.at("scaled_channel_cosine_max"),
                      layer = columns.at("scaled_cosine");
  const std::vector<double>& fired = columns.at("fired");
  for (size_t i = 0; i < table.rows(); ++i) {
    squared[i] *= squared[i];
    if (fired[i] != fired_by_channel) channel[i] = NAN;
    if (fired[i] != fired_by_layer) layer[i] = NAN;
  }
  columns["norm_squared_predicted"] =
      rule.beta ? predicted_norm_squared(table, *rule.beta) : std::vector<double>(table.rows(), NAN);
  columns["norm_squared"] = std::move(squared);
  columns["fired_channel"] = std::move(channel);
  columns["fired_layer"] = std::move(layer);
}

// The columns that a page holds for each layer.
const std::vector<std::string>& shown_columns() {
  static const std::vector<std::string> names = {
      "norm",          "effective_step", "angle",         "equilibrium_angle",         "norm_squared", "norm_squared_predicted",
      "scaled_cosine", "fired_layer",    "fired_channel", "scaled_channel_cosine_max", "radial",       "tangential"};
  return names;
}

// The share of the steps watched at which the projection fired.
double fired_share(const Table& table) {
  double sum = 0, count = 0;
  for (double mark : table.columns.at("fired")) {
    if (!std::isnan(mark)) sum += mark > 0, ++count;
  }
  return sum / count;
}

// The largest relative difference of the norm's square from what is predicted.
double largest_gap(const Table& table) {
  const auto &measured = table.columns.at("norm_squared"), &predicted = table.columns.at("norm_squared_predicted");
  double gap = NAN;
  for (size_t i = 0; i < table.rows(); ++i) {
    const double difference = std::abs(predicted[i] / measured[i] - 1);
    if (!std::isnan(difference) && !(gap >= difference)) gap = difference;
  }
  return gap;
}

// The mean effective step of each layer in each epoch.
void write_heat(JsonText& json, const RunData& run) {
  std::vector<double> epochs;
  for (double epoch : run.probe.front().columns.at("epoch")) {
    if (!std::isnan(epoch) && (epochs.empty() || epoch > epochs.back())) epochs.push_back(epoch);
  }
  json.raw("{").key("epochs").steps(epochs).key("values").list(run.probe, [&](const Table& layer) {
    std::vector<double> sums(epochs.size()), counts(epochs.size());
    for (size_t i = 0; i < layer.rows(); ++i) {
      const double step = layer.columns.at("effective_step")[i], epoch = layer.columns.at("epoch")[i];
      const auto at = std::lower_bound(epochs.begin(), epochs.end(), epoch) - epochs.begin();
      if (std::isnan(step) || size_t(at) == epochs.size() || epochs[size_t(at)] != epoch) continue;
      sums[size_t(at)] += step, ++counts[size_t(at)];
    }
    for (size_t i = 0; i < sums.size(); ++i) sums[i] /= counts[i];  // NaN where there is none
    json.numbers(sums);
  });
  json.raw("}");
}

// How often |cos(w, g)| sqrt(n) came to what, in quarters of a decade from 1e-9 to 1e2; what lies outside counts at the ends.
void write_histogram(JsonText& json, const RunData& run) {
  json.list(run.probe, [&](const Table& layer) {
    std::vector<double> counts(44);
    for (double cosine : layer.columns.at("scaled_cosine")) {
      if (std::isnan(cosine)) continue;
      const double bin = std::floor(4 * (std::log10(std::max(cosine, 1e-300)) + 9));
      ++counts[size_t(std::clamp(bin, 0.0, 43.0))];
    }
    json.numbers(counts);
  });
}

// Everything the probe saw: "layers" names the lists in each column, the mean first.
void write_probe(JsonText& json, const RunData& run, double stretch) {
  const NormRule rule = norm_rule(run.config);
  std::vector<Table> tables = run.probe;
  for (Table& table : tables) derive(table, rule);
  std::vector<double> shares, gaps = {NAN};
  for (const Table& table : tables) {
    shares.push_back(fired_share(table));
    gaps.push_back(largest_gap(table));
  }
  double sum = 0;
  for (double share : shares) sum += share / double(shares.size());
  shares.insert(shares.begin(), sum);
  Table mean = mean_of(tables, {"scaled_cosine", "scaled_channel_cosine_max"});
  for (const char* mark : {"fired_channel", "fired_layer"}) mean.columns.at(mark).assign(mean.rows(), NAN);  // no layer's
  tables.insert(tables.begin(), std::move(mean));
  std::vector<std::string> layers = run.layers;
  layers.insert(layers.begin(), "mean over layers");
  json.raw("{").key("layers").strings(layers).key("rule").value(rule.words);
  for (Table& table : tables) table = thinned(table, stretch, {"fired_channel", "fired_layer"});
  json.key("step").steps(tables.front().step);
  for (const std::string& name : shown_columns())
    json.key(name).list(tables, [&](const Table& table) { json.numbers(table.columns.at(name)); });
  json.key("fired").numbers(shares).key("gap").numbers(gaps).key("heat");
  write_heat(json, run);
  json.key("histogram");
  write_histogram(json, run);
  json.raw("}");
}

void write_paths(JsonText& json, const RunData& run) {
  json.list(run.paths, [&](const Path& path) {
    const Table points = outline(path.points, {"x", "y", "z"}, most_path_points);
    json.raw("{").key("series").value(path.series).key("optimizer").value(path.optimizer).key("beta").value(path.beta);
    json.key("target").numbers(path.target);
    json.key("of").value(path.points.rows()).key("points").table(points).raw("}");
  });
}

// A lesson with the words of its table.
config::Value in_words(config::Value lesson) {
  config::Value* rows = lesson.is_object() && lesson.find("rows") ? &lesson["rows"] : nullptr;
  if (!rows || !rows->is_array()) return lesson;
  for (config::Value& row : rows->as_array()) {
    if (!row.is_object() || !row.find("predicted") || !row.find("measured")) continue;
    const ComparisonText text = text_of(comparison_of(row));
    row["words"] = config::Value::Object{
        {"predicted", text.predicted}, {"measured", text.measured}, {"error", text.error}, {"allowed", text.allowed}};
  }
  return lesson;
}

}  // namespace

std::string page_data(const std::vector<RunData>& runs, const std::vector<config::Value>& lessons, const std::string& title) {
  const std::vector<std::string> labels = labels_of(runs);
  const std::vector<size_t> experiments = experiments_of(runs);
  size_t lines = 1;
  for (const RunData& run : runs) lines += (run.layers.size() + 1) * shown_columns().size();
  const size_t layer_points = std::clamp<size_t>(most_numbers / lines, 6, most_points);
  JsonText json;
  json.raw("{").key("title").value(title);
  json.key("lessons").list(lessons, [&](const config::Value& lesson) { json.value(in_words(lesson)); });
  json.key("runs").list(runs, [&](const RunData& run) {
    const size_t index = size_t(&run - runs.data());
    const double steps = stretch_for(run.steps, most_points),
                 layers = run.probe.empty() ? 0 : stretch_for(run.probe.front(), layer_points);
    json.raw("{").key("label").value(labels[index]).key("folder").value(run.folder).key("experiment").value(experiments[index]);
    json.key("notes").strings(run.notes).key("config").value(run.config).key("environment").value(run.environment);
    json.key("invariance").value(run.invariance);
    json.key("stretch").raw("{").key("steps").value(steps).key("layers").value(layers).raw("}");
    json.key("steps").table(thinned(run.steps, steps)).key("epochs").table(run.epochs).key("paths");
    write_paths(json, run);
    json.key("probe");
    if (run.probe.empty())
      json.raw("null");
    else
      write_probe(json, run, layers);
    json.raw("}");
  });
  return json.raw("}").take();
}

}  // namespace az::experiments
