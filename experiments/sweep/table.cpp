#include "experiments/sweep/table.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/base/files.h"
#include "core/config/json_document.h"
#include "experiments/checkpoint.h"
#include "experiments/html.h"
#include "experiments/log/csv.h"
#include "experiments/score.h"
#include "experiments/training_lines.h"

namespace az::experiments {
namespace {

using config::Value;

// What the table shows of the last epoch: shares, of which more is better, and losses.
const std::vector<Quantity>& kinds() {
  static const std::vector<Quantity> chosen = [] {
    const Measurement epoch = epoch_measurement();
    std::vector<Quantity> result;
    for (const char* key : {"validation_accuracy", "test_accuracy", "train_loss", "test_loss"})
      result.push_back(*epoch.find(key));
    return result;
  }();
  return chosen;
}

// The line of the epoch that a finished run ended with. Throws Error with the place.
MetricLine last_epoch(const std::string& folder) {
  const std::string metrics = folder + "/metrics.jsonl";
  MetricLine last;
  const UnreadLines unread = read_metrics(
      metrics, [&](const MetricLine& line) { return last = line, true; }, "epoch");
  if (!unread.places.empty() && unread.places.back() > last.place)
    throw DataError(fmt::format("{}:{}: the line of the last epoch is damaged", metrics, unread.places.back()));
  if (last.place == 0) throw DataError(metrics + " has no epoch");
  const std::string checkpoint = existing_checkpoint(folder + "/checkpoints/last");
  if (last.find("step") && is_there(checkpoint) && last.number("step") != double(load_state(checkpoint).step))
    throw DataError(metrics + " has no line of the last epoch");
  return last;
}

std::optional<Measure> measure(const Quantity& kind, const std::vector<MetricLine>& epochs) {
  std::vector<double> values;
  for (const MetricLine& epoch : epochs) {
    if (const double value = epoch.number(kind.key); !std::isnan(value)) values.push_back(value);
  }
  if (values.empty()) return {};
  const auto n = double(values.size());
  Measure result{.name = kind.key, .runs = int64_t(values.size())};
  for (double value : values) result.mean += value / n;
  double squares = 0;
  for (double value : values) squares += (value - result.mean) * (value - result.mean);
  if (values.size() > 1) result.spread = std::sqrt(squares / (n - 1));
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  result.best = kind.share ? *high : *low;
  return result;
}

const Measure* find(const GroupResult& group, const Quantity& kind) {
  for (const Measure& one : group.measures) {
    if (one.name == kind.key) return &one;
  }
  return nullptr;
}

std::string number(const Quantity& kind, double value) {
  return kind.share ? percent(value) + " %" : fmt::format("{:.4f}", value);
}
std::string mean_text(const Quantity& kind, const Measure& m, const GroupResult& group) {
  const std::string mean = !m.spread    ? number(kind, m.mean)
                           : kind.share ? fmt::format("{} ± {} %", percent(m.mean), percent(*m.spread))
                                        : fmt::format("{:.4f} ± {:.4f}", m.mean, *m.spread);
  return m.runs == group.done ? mean : fmt::format("{} ({} of {})", mean, m.runs, group.done);
}

// The kinds that any group has.
std::vector<Quantity> shown(const std::vector<GroupResult>& groups) {
  std::vector<Quantity> result;
  for (const Quantity& kind : kinds()) {
    if (std::any_of(groups.begin(), groups.end(), [&](const GroupResult& group) { return find(group, kind); }))
      result.push_back(kind);
  }
  return result;
}

std::string runs_text(const GroupResult& group) {
  return fmt::format("{}/{}{}", group.done, group.runs, group.failed ? fmt::format(", {} failed", group.failed) : "");
}

std::vector<std::vector<std::string>> cells(const SweepTable& table) {
  const std::vector<Quantity> columns = shown(table.groups);
  std::vector<std::vector<std::string>> rows = {{"group", "runs"}};
  for (const Quantity& kind : columns) rows[0].insert(rows[0].end(), {kind.name, "best"});
  for (const GroupResult& group : table.groups) {
    rows.push_back({group.group, runs_text(group)});
    for (const Quantity& kind : columns) {
      const Measure* m = find(group, kind);
      rows.back().push_back(m ? mean_text(kind, *m, group) : "-");
      rows.back().push_back(m ? number(kind, m->best) : "-");
    }
  }
  return rows;
}

}  // namespace

SweepTable sweep_table(const Sweep& sweep, const SweepResult& result, const std::string& folder) {
  SweepTable table{.name = sweep.name,
                   .description = sweep.description,
                   .folder = folder,
                   .groups = {},
                   .legend = sweep.legend,
                   .left_out = {},
                   .runs = Value::Array{}};
  std::map<std::string, std::vector<MetricLine>> epochs;  // of the groups' finished runs
  for (size_t i = 0; i < sweep.runs.size(); ++i) {
    const SweepRun& run = sweep.runs[i];
    const RunState state = result.states[i];
    const std::string run_folder = folder + "/" + run.name;
    if (table.groups.empty() || table.groups.back().group != run.group)
      table.groups.push_back({.group = run.group, .measures = {}});
    GroupResult& group = table.groups.back();
    group.runs += 1;
    group.done += state == RunState::done;
    group.failed += state == RunState::failed;
    Value::Object line = {{"name", run.name},        {"group", run.group},
                          {"seed", run.config.seed}, {"folder", run_folder},
                          {"state", name_of(state)}, {"overrides", Value::Array(run.overrides.begin(), run.overrides.end())}};
    std::string failure = result.failures[i];
    std::optional<MetricLine> epoch;
    try {
      if (state == RunState::done) epoch = last_epoch(run_folder);
    } catch (const Error& error) {
      failure = fmt::format("metrics unreadable: {}", error.what());
      table.left_out.push_back(fmt::format("{} is left out of the table: {}", run.name, failure));
    }
    if (!failure.empty()) line.push_back({"failure", failure});
    if (epoch) {
      epochs[run.group].push_back(*epoch);
      for (const Quantity& kind : kinds()) {
        if (const MetricValue* value = epoch->find(kind.key)) line.push_back({kind.key, to_value(*value)});
      }
    }
    table.runs.push_back(line);
  }
  for (GroupResult& group : table.groups) {
    for (const Quantity& kind : kinds()) {
      if (const auto found = measure(kind, epochs[group.group])) group.measures.push_back(*found);
    }
  }
  return table;
}

std::string SweepTable::text() const {
  const auto rows = cells(*this);
  std::vector<size_t> widths(rows[0].size());
  // The width is counted in characters: "±" has two bytes.
  const auto width = [](const std::string& cell) {
    return size_t(std::count_if(cell.begin(), cell.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  };
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string room(widths[i] - width(row[i]), ' ');
      out += i == 0 ? row[i] + room : "  " + room + row[i];
    }
    out += '\n';
  }
  if (!legend.empty()) out += '\n';
  for (const std::string& line : legend) out += line + "\n";
  return out;
}

std::string SweepTable::csv() const {
  const std::vector<Quantity> columns = shown(groups);
  std::string out = "group,runs,done,failed";
  for (const Quantity& kind : columns) out += fmt::format(",{0}_mean,{0}_spread,{0}_best,{0}_runs", kind.key);
  for (const GroupResult& group : groups) {
    out += fmt::format("\r\n{},{},{},{}", csv_cell(group.group), group.runs, group.done, group.failed);
    for (const Quantity& kind : columns) {
      const Measure* m = find(group, kind);
      out +=
          m ? fmt::format(",{},{},{},{}", m->mean, m->spread ? fmt::format("{}", *m->spread) : "", m->best, m->runs) : ",,,,0";
    }
  }
  return out + "\r\n";
}

std::string SweepTable::html() const {
  std::string rows;
  bool head = true;
  for (const auto& row : cells(*this)) {
    rows += "<tr>";
    for (const std::string& cell : row)
      rows += head ? "<th>" + escaped_html(cell) + "</th>" : "<td>" + escaped_html(cell) + "</td>";
    rows += "</tr>\n";
    head = false;
  }
  std::string values, failures;
  for (const std::string& line : legend) values += "<li>" + escaped_html(line) + "</li>\n";
  if (!values.empty()) values = "<ul>\n" + values + "</ul>\n";
  for (const Value& run : runs.as_array()) {
    if (const Value* failure = run.find("failure"))
      failures +=
          fmt::format("<li>{}: {}</li>\n", escaped_html(run.at("name").as_string()), escaped_html(failure->as_string()));
  }
  if (!failures.empty()) failures = "<h2>Failed</h2>\n<ul>\n" + failures + "</ul>\n";
  return fmt::format(R"(<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{0}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ padding: .3em .8em; text-align: right; border-bottom: 1px solid #8886; white-space: nowrap }}
th:first-child, td:first-child {{ text-align: left }}
</style>
<h1>{0}</h1>
<p>{1}</p>
<table>
{2}</table>
{3}<p>Measured after a run's last epoch, over the finished runs of a group, which differ in their seed alone: the mean ± the sample
standard deviation, and the best run; (1 of 2): of so many of them only, as the others have no such number.</p>
{4}</html>
)",
                     escaped_html(name), escaped_html(description), rows, values, failures);
}

Value SweepTable::json() const {
  Value::Array lines;
  for (const GroupResult& group : groups) {
    Value::Object line = {{"group", group.group}, {"runs", group.runs}, {"done", group.done}, {"failed", group.failed}};
    for (const Measure& m : group.measures) {
      line.push_back(
          {m.name,
           Value::Object{
               {"runs", m.runs}, {"mean", m.mean}, {"spread", m.spread ? Value(*m.spread) : Value()}, {"best", m.best}}});
    }
    lines.emplace_back(line);
  }
  return Value::Object{{"name", name}, {"folder", folder}, {"groups", lines}, {"runs", runs}};
}

}  // namespace az::experiments
