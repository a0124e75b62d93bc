#include "experiments/report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/config/json_document.h"
#include "experiments/html.h"
#include "experiments/report/norm_identity.h"
#include "experiments/report/page.h"
#include "experiments/report/run_data.h"

namespace az::experiments {
namespace {

// How many numbers of layers a page may hold, and how many points a line.
constexpr size_t most_numbers = 1'000'000, fewest_points = 100, most_points = 1000;

// JSON, a piece at a time: numbers in six digits, and nothing that could end the script element it stands in.
class JsonText {
 public:
  JsonText& raw(std::string_view text) {
    out_.append(text);
    return *this;
  }
  JsonText& key(std::string_view name) { return raw(fmt::format("{}\"{}\":", out_.back() == '{' ? "" : ",", name)); }
  JsonText& value(const config::Value& value) {
    for (const char c : config::dump(value)) c == '<' ? out_ += "\\u003c" : out_ += c;
    return *this;
  }
  template <class Each, class Write> JsonText& list(const Each& elements, const Write& write) {
    out_ += '[';
    for (const auto& element : elements) {
      if (&element != &*std::begin(elements)) out_ += ',';
      write(element);
    }
    return raw("]");
  }
  JsonText& numbers(const std::vector<double>& values) {
    return list(values, [&](double x) { number(x, 6); });
  }
  // Steps are counted exactly.
  JsonText& steps(const std::vector<double>& values) {
    return list(values, [&](double x) { number(x, 16); });
  }
  JsonText& strings(const std::vector<std::string>& values) {
    return list(values, [&](const std::string& text) { value(text); });
  }
  std::string take() { return std::move(out_); }

 private:
  void number(double x, int digits) {
    if (std::isfinite(x))
      fmt::format_to(std::back_inserter(out_), "{:.{}g}", x, digits);
    else
      out_ += "null";
  }

  std::string out_;
};

void write_table(JsonText& json, const Table& table) {
  json.raw("{").key("step").steps(table.step);
  for (const auto& [name, column] : table.columns) json.key(name).numbers(column);
  json.raw("}");
}

// The shortest ends of paths that tell the folders apart.
std::vector<std::string> labels_of(const std::vector<std::string>& folders) {
  std::vector<std::string> labels;
  for (const std::string& folder : folders) {
    std::filesystem::path path = std::filesystem::path(folder).lexically_normal();
    if (!path.has_filename()) path = path.parent_path();
    if (path == "." || path == "..") path = std::filesystem::weakly_canonical(path);
    std::string label = path.filename().string();
    const auto taken = [&](const std::string& name) {
      return std::count_if(folders.begin(), folders.end(), [&](const std::string& other) {
               const std::string end = "/" + name, whole = "/" + std::filesystem::path(other).lexically_normal().string();
               return whole.ends_with(end) || whole.ends_with(end + "/");
             }) > 1;
    };
    for (path = path.parent_path(); taken(label) && path.has_filename(); path = path.parent_path())
      label = path.filename().string() + "/" + label;
    const auto same = std::count(labels.begin(), labels.end(), label);
    labels.push_back(same ? fmt::format("{} ({})", label, same + 1) : label);
  }
  return labels;
}

// What must be equal for two runs to be repetitions of one experiment: all of the config but the seed and what is for people.
std::string experiment_of(const RunData& run) {
  if (!run.config.is_object()) return run.folder;
  config::Value::Object rest;
  for (const config::Member& member : run.config.as_object()) {
    if (member.key != "seed" && member.key != "name" && member.key != "description" && member.key != "$schema")
      rest.push_back(member);
  }
  return config::dump(rest);
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
  for (Table& table : tables) {
    std::vector<double>& measured = table.columns["norm_squared"] = table.columns.at("norm");
    for (double& x : measured) x *= x;
    table.columns["norm_squared_predicted"] =
        rule.beta ? predicted_norm_squared(table, *rule.beta) : std::vector<double>(table.rows(), NAN);
  }
  tables.insert(tables.begin(), mean_of(tables, {"scaled_cosine", "scaled_channel_cosine_max"}));
  std::vector<double> fired, gaps;
  for (const Table& table : tables) {
    const auto &marks = table.columns.at("fired"), &measured = table.columns.at("norm_squared");
    const auto& predicted = table.columns.at("norm_squared_predicted");
    double sum = 0, count = 0, gap = rule.beta ? 0 : NAN;
    for (size_t i = 0; i < table.rows(); ++i) {
      if (!std::isnan(marks[i])) sum += marks[i], ++count;
      if (!std::isnan(predicted[i])) gap = std::max(gap, std::abs(predicted[i] / measured[i] - 1));
    }
    fired.push_back(sum / count);
    gaps.push_back(gap);
  }
  std::vector<std::string> layers = run.layers;
  layers.insert(layers.begin(), "mean over layers");
  json.raw("{").key("layers").strings(layers).key("rule").value(rule.words);
  for (Table& table : tables) table = thinned(table, stretch);
  json.key("step").steps(tables.front().step);
  for (const auto& [name, column] : tables.front().columns) {
    if (name == "epoch" || name == "fired" || name == "effective_lr" || name == "gradient_norm") continue;
    json.key(name).list(tables, [&, &key = name](const Table& table) { json.numbers(table.columns.at(key)); });
  }
  json.key("fired").numbers(fired).key("gap").numbers(gaps).key("heat");
  write_heat(json, run);
  json.key("histogram");
  write_histogram(json, run);
  json.raw("}");
}

// A path is a curve, so that points left out of it at regular distances do not show.
Table strided(const Table& table) {
  const size_t stride = table.rows() / 2000 + 1;
  Table result;
  for (size_t i = 0; i < table.rows(); ++i) {
    if (i % stride != 0 && i + 1 != table.rows()) continue;
    result.step.push_back(table.step[i]);
    for (const auto& [name, column] : table.columns) result.columns[name].push_back(column[i]);
  }
  return result;
}

void write_paths(JsonText& json, const RunData& run) {
  json.list(run.paths, [&](const Path& path) {
    json.raw("{").key("series").value(path.series).key("optimizer").value(path.optimizer).key("beta").value(path.beta);
    json.key("points");
    write_table(json, strided(path.points));
    json.raw("}");
  });
}

struct Thinning {
  double steps, layers;  // stretches
};

Thinning thinning_for(const std::vector<RunData>& runs) {
  std::vector<const Table*> steps, layers;
  size_t lines = 1;
  for (const RunData& run : runs) {
    steps.push_back(&run.steps);
    if (!run.probe.empty()) layers.push_back(&run.probe.front());
    lines += (run.layers.size() + 1) * probe_columns().size();
  }
  return {stretch_for(steps, most_points), stretch_for(layers, std::clamp(most_numbers / lines, fewest_points, most_points))};
}

std::string data_of(const std::vector<RunData>& runs, const std::vector<config::Value>& lessons, const std::string& title) {
  std::vector<std::string> folders, experiments;
  for (const RunData& run : runs) folders.push_back(run.folder);
  const std::vector<std::string> labels = labels_of(folders);
  const Thinning thinning = thinning_for(runs);
  JsonText json;
  json.raw("{\"title\":")
      .value(title)
      .key("stretch")
      .raw(fmt::format("{{\"steps\":{},\"layers\":{}}}", thinning.steps, thinning.layers));
  json.key("lessons").list(lessons, [&](const config::Value& lesson) { json.value(lesson); });
  json.key("runs").list(runs, [&](const RunData& run) {
    const size_t index = size_t(&run - runs.data());
    const std::string experiment = experiment_of(run);
    const auto found = std::find(experiments.begin(), experiments.end(), experiment) - experiments.begin();
    if (size_t(found) == experiments.size()) experiments.push_back(experiment);
    json.raw("{").key("label").value(labels[index]).key("folder").value(run.folder).key("experiment").value(found);
    json.key("notes").strings(run.notes);
    json.key("config").value(run.config).key("environment").value(run.environment);
    json.key("invariance").value(run.invariance).key("steps");
    write_table(json, thinned(run.steps, thinning.steps));
    json.key("epochs");
    write_table(json, run.epochs);
    json.key("paths");
    write_paths(json, run);
    json.key("probe");
    if (run.probe.empty())
      json.raw("null");
    else
      write_probe(json, run, thinning.layers);
    json.raw("}");
  });
  return json.raw("}").take();
}

std::string title_of(const std::vector<RunData>& runs, const std::vector<config::Value>& lessons) {
  for (const config::Value& lesson : lessons) {
    if (const std::string title = string_at(lesson, "title"); !title.empty()) return title;
  }
  if (runs.size() != 1) return fmt::format("{} runs", runs.size());
  const std::string name = string_at(runs.front().config, "name");
  return name.empty() ? runs.front().folder : name;
}

}  // namespace

std::string report_html(const std::vector<std::string>& run_folders, const ReportOptions& options) {
  if (run_folders.empty()) throw ConfigError("a report needs a run folder at least");
  std::vector<RunData> runs;
  std::vector<config::Value> lessons;
  for (const std::string& folder : run_folders) {
    RunData run = read_run(folder);
    if (run.lesson.is_object()) lessons.push_back(run.lesson);
    // A lesson's folder may hold its table alone, the trainings lying below it.
    if (!run.lesson.is_object() || run.trained()) runs.push_back(std::move(run));
  }
  const std::string title = options.title.empty() ? title_of(runs, lessons) : options.title;
  std::string page(report_page());
  const auto put = [&](const std::string& mark, const std::string& text) { page.replace(page.find(mark), mark.size(), text); };
  put("@data@", data_of(runs, lessons, title));
  put("@title@", escaped_html(title));
  return page;
}

}  // namespace az::experiments
