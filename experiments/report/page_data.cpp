#include "experiments/report/page_data.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "experiments/json_text.h"
#include "experiments/lessons/comparison.h"
#include "experiments/report/norm_identity.h"
#include "experiments/report/run_names.h"

namespace az::experiments {
namespace {

// How many numbers of layers a page holds, and how many points a line or a path.
constexpr size_t most_numbers = 1'000'000, most_points = 1000, most_path_points = 2000;

// The views of a projection as the words of "projected" count them.
constexpr double by_channel = 1, by_layer = 2;

// Columns that a layer's table gets beside what the probe saw: measured and predicted squares of the norm, and the cosines at
// which the projection fired, by channel and on the layer as a whole.
constexpr const char* derived[] = {"norm_squared", "norm_squared_predicted", "fired_channel", "fired_layer"};

void derive(Table& table, const optim::NormRule& rule) {
  auto& columns = table.columns;
  std::vector<double> squared = columns.at("norm"), channel = columns.at("scaled_channel_cosine_max"),
                      layer = columns.at("scaled_cosine");
  const std::vector<double>& fired = columns.at("projected");
  for (size_t i = 0; i < table.rows(); ++i) {
    squared[i] *= squared[i];
    if (fired[i] != by_channel) channel[i] = NAN;
    if (fired[i] != by_layer) layer[i] = NAN;
  }
  columns["norm_squared_predicted"] =
      rule.beta ? predicted_norm_squared(table, *rule.beta) : std::vector<double>(table.rows(), NAN);
  columns["norm_squared"] = std::move(squared);
  columns["fired_channel"] = std::move(channel);
  columns["fired_layer"] = std::move(layer);
}

bool is_scale_invariance(const std::string& kind) { return kind == "scale_invariance"; }

// The columns that a page holds for each parameter, or module.
std::vector<std::string> shown_columns(const Measurement& measurement, const std::string& subject) {
  std::vector<std::string> names = measurement.drawn(subject);
  if (is_scale_invariance(measurement.kind)) names.insert(names.end(), std::begin(derived), std::end(derived));
  return names;
}

// Those of which a mean over parameters or modules is geometric.
std::set<std::string> geometric_columns(const Measurement& measurement) {
  std::set<std::string> names;
  for (const Quantity& quantity : measurement.quantities) {
    if (quantity.geometric_mean) names.insert(quantity.key);
  }
  return names;
}

// The share of the steps watched at which the projection fired.
double fired_share(const Table& table) {
  double sum = 0, count = 0;
  for (double mark : table.columns.at("projected")) {
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
void write_heat(JsonText& json, const std::vector<Table>& layers) {
  std::vector<double> epochs;
  for (double epoch : layers.front().columns.at("epoch")) {
    if (!std::isnan(epoch) && (epochs.empty() || epoch > epochs.back())) epochs.push_back(epoch);
  }
  json.raw("{").key("epochs").steps(epochs).key("values").list(layers, [&](const Table& layer) {
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

void write_table(JsonText& json, const Table& table) {
  json.raw("{").key("step").steps(table.step);
  for (const auto& [name, column] : table.columns) json.key(name).numbers(column);
  json.raw("}");
}

// How often |cos(w, g)| sqrt(n) came to what, in quarters of a decade from 1e-9 to 1e2; what lies outside counts at the ends.
void write_histogram(JsonText& json, const std::vector<Table>& layers) {
  json.list(layers, [&](const Table& layer) {
    std::vector<double> counts(44);
    for (double cosine : layer.columns.at("scaled_cosine")) {
      if (std::isnan(cosine)) continue;
      const double bin = std::floor(4 * (std::log10(std::max(cosine, 1e-300)) + 9));
      ++counts[size_t(std::clamp(bin, 0.0, 43.0))];
    }
    json.numbers(counts);
  });
}

// What a page holds of parameters or modules: their names, the mean first, and a table of each.
Subjects layers_of(const Measurement& measurement, Subjects layers, double stretch) {
  const std::set<std::string> marks = {"fired_channel", "fired_layer"};
  Table mean = mean_of(layers.tables, geometric_columns(measurement));
  if (is_scale_invariance(measurement.kind)) {
    for (const std::string& mark : marks) mean.columns.at(mark).assign(mean.rows(), NAN);  // no layer's
  }
  layers.names.insert(layers.names.begin(), "mean over layers");
  layers.tables.insert(layers.tables.begin(), std::move(mean));
  for (Table& table : layers.tables) table = thinned(table, stretch, marks);
  return layers;
}

// A list a column, of a list a layer.
void write_columns(JsonText& json, const Measurement& measurement, const std::string& subject, const Subjects& layers) {
  for (const std::string& name : shown_columns(measurement, subject))
    json.key(name).list(layers.tables, [&](const Table& table) { json.numbers(table.columns.at(name)); });
}

// The rule of a run's norms, or why there is none.
optim::NormRule rule_of(const RunData& run, const std::vector<Table>& tables) {
  const optim::NormRule rule = run.declared.norm_rule ? *run.declared.norm_rule : norm_rule(run.config);
  const auto has_rate = [](const Table& table) {
    const std::vector<double>& rates = table.columns.at("effective_lr");
    return std::any_of(rates.begin(), rates.end(), [](double rate) { return !std::isnan(rate); });
  };
  if (!rule.beta || *rule.beta == 0 || std::any_of(tables.begin(), tables.end(), has_rate)) return rule;
  return {{}, "no prediction: it takes the learning rate, and the optimizer does not say its effective rate"};
}

// Everything that the probe scale_invariance saw.
void write_probe(JsonText& json, const RunData& run, double stretch) {
  const Subjects& parameters = run.series.at("scale_invariance").about.at("parameter");
  std::vector<Table> tables = parameters.tables;
  const optim::NormRule rule = rule_of(run, tables);
  for (Table& table : tables) derive(table, rule);
  std::vector<double> shares, gaps = {NAN};
  for (const Table& table : tables) {
    shares.push_back(fired_share(table));
    gaps.push_back(largest_gap(table));
  }
  double sum = 0;
  for (double share : shares) sum += share / double(shares.size());
  shares.insert(shares.begin(), sum);
  const Measurement& measurement = *run.declared.find("scale_invariance");
  const Subjects layers = layers_of(measurement, {parameters.names, tables}, stretch);
  json.raw("{").key("layers").strings(layers.names).key("rule").value(rule.words);
  json.key("step").steps(layers.tables.front().step);
  write_columns(json, measurement, "parameter", layers);
  json.key("fired").numbers(shares).key("gap").numbers(gaps).key("heat");
  write_heat(json, parameters.tables);
  json.key("histogram");
  write_histogram(json, parameters.tables);
  json.raw("}");
}

// The longest stretches of steps that stand for two points each.
struct Stretches {
  double steps = 0, layers = 0;
};

// What other probes measured, a kind at a time.
void write_others(JsonText& json, const RunData& run, size_t layer_points, Stretches& longest) {
  std::vector<const Measurement*> others;
  for (const Measurement& one : run.declared.kinds) {
    const Series& series = run.series.at(one.kind);
    const bool is_own = is_scale_invariance(one.kind) || one.kind == "step" || one.kind == "epoch" || one.kind == "path";
    if (!is_own && !series.empty()) others.push_back(&one);
  }
  json.list(others, [&](const Measurement* one) {
    const Series& series = run.series.at(one->kind);
    const double steps = stretch_for(series.table, most_points);
    longest.steps = std::max(longest.steps, steps);
    json.raw("{").key("kind").value(one->kind).key("table");
    write_table(json, thinned(series.table, steps));
    json.key("layers").raw("{");
    for (const auto& [subject, subjects] : series.about) {
      if (subjects.names.empty()) continue;
      const double stretch = stretch_for(subjects.tables.front(), layer_points);
      longest.layers = std::max(longest.layers, stretch);
      const Subjects layers = layers_of(*one, subjects, stretch);
      json.key(subject).raw("{").key("names").strings(layers.names).key("step").steps(layers.tables.front().step);
      json.key("columns").raw("{");
      write_columns(json, *one, subject, layers);
      json.raw("}}");
    }
    json.raw("}}");
  });
}

void write_paths(JsonText& json, const RunData& run) {
  json.list(run.paths, [&](const Path& path) {
    const Table points = outline(path.points, {"x", "y", "z"}, most_path_points);
    json.raw("{").key("series").value(path.series).key("optimizer").value(path.optimizer).key("beta").value(path.beta);
    json.key("target").numbers(path.target);
    json.key("of").value(path.points.rows()).key("points");
    write_table(json, points);
    json.raw("}");
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
  Measurements declared = built_in_measurements();  // and what any run declares
  size_t lines = 1;
  for (const RunData& run : runs) {
    for (const Measurement& one : run.declared.kinds) {
      declared.add(one);
      for (const auto& [subject, subjects] : run.series.at(one.kind).about)
        lines += (subjects.names.size() + 1) * shown_columns(one, subject).size();
    }
  }
  const size_t layer_points = std::clamp<size_t>(most_numbers / lines, 6, most_points);
  JsonText json;
  json.raw("{").key("title").value(title).key("kinds").value(config::to_value(declared.kinds));
  json.key("lessons").list(lessons, [&](const config::Value& lesson) { json.value(in_words(lesson)); });
  json.key("runs").list(runs, [&](const RunData& run) {
    const size_t index = size_t(&run - runs.data());
    json.raw("{").key("label").value(labels[index]).key("folder").value(run.folder).key("experiment").value(experiments[index]);
    json.key("notes").strings(run.notes).key("config").value(run.config).key("environment").value(run.environment);
    json.key("invariance").value(run.invariance);
    const Series& step = run.series.at("step");
    const std::vector<Table>& probe = run.series.at("scale_invariance").about.at("parameter").tables;
    Stretches longest{.steps = stretch_for(step.table, most_points)};
    json.key("steps");
    write_table(json, thinned(step.table, longest.steps));
    json.key("epochs");
    write_table(json, run.series.at("epoch").table);
    json.key("paths");
    write_paths(json, run);
    json.key("probe");
    if (probe.empty()) {
      json.raw("null");
    } else {
      longest.layers = stretch_for(probe.front(), layer_points);
      write_probe(json, run, longest.layers);
    }
    json.key("others");
    write_others(json, run, layer_points, longest);
    json.key("stretch").raw("{").key("steps").value(longest.steps).key("layers").value(longest.layers).raw("}}");
  });
  // Nothing in it may end the script element that it stands in. Outside of texts JSON has no "<".
  std::string text;
  for (const char c : json.raw("}").take()) c == '<' ? text += "\\u003c" : text += c;
  return text;
}

}  // namespace az::experiments
