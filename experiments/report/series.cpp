#include "experiments/report/series.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace az::experiments {
namespace {

double number(const Quantity& quantity, const MetricLine& line) {
  if (!quantity.words.empty()) return quantity.place(line.text(quantity.key));
  const double x = line.number(quantity.key);
  return quantity.magnitude ? std::abs(x) : x;
}

// Those that have that subject, with the epoch that every line has.
std::vector<Quantity> some_of(const Measurement& measurement, const std::string& subject) {
  std::vector<Quantity> some;
  for (const Quantity& quantity : measurement.quantities) {
    if (quantity.subject() == subject) some.push_back(quantity);
  }
  if (!some.empty()) some.push_back({.key = "epoch"});
  return some;
}

}  // namespace

void Rows::add(double step, const MetricLine& line) {
  steps_.push_back(step);
  for (size_t i = 0; i < quantities_.size(); ++i) columns_[i].push_back(number(quantities_[i], line));
}

Table Rows::table() const {
  std::vector<size_t> order(steps_.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return steps_[a] < steps_[b]; });
  std::vector<size_t> kept;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i + 1 == order.size() || steps_[order[i]] != steps_[order[i + 1]]) kept.push_back(order[i]);
  }
  Table result;
  for (size_t i : kept) result.step.push_back(steps_[i]);
  for (size_t column = 0; column < quantities_.size(); ++column) {
    std::vector<double>& to = result.columns[quantities_[column].key];
    for (size_t i : kept) to.push_back(columns_[column][i]);
  }
  return result;
}

Gathered::Gathered(const Measurements& declared) {
  for (const Measurement& one : declared.kinds) {
    const std::vector<Quantity> of_step = some_of(one, "");
    OfKind& of = kinds_.emplace(one.kind, OfKind{.of_step = of_step, .rows = Rows(of_step), .about = {}}).first->second;
    for (const char* subject : line_subjects) of.about[subject].quantities = some_of(one, subject);
  }
}

bool Gathered::add(const MetricLine& line) {
  const auto kind = kinds_.find(line.kind);
  if (kind == kinds_.end()) return undeclared_.insert(line.kind), true;
  const double step = line.number("step");
  if (!(step >= 0 && step < 9e15)) return false;
  if (line.kind == "path") return add_path(step, line);
  OfKind& of = kind->second;
  for (auto& [subject, about] : of.about) {
    const std::string name = line.text(subject);
    if (name.empty()) continue;
    const auto& quantities = about.quantities;
    if (!quantities.empty()) about.named.get(name, [&] { return Rows(quantities); }).add(step, line);
    return true;
  }
  if (!of.of_step.empty()) of.rows.add(step, line);  // else it holds nothing to be drawn
  return true;
}

bool Gathered::add_path(double step, const MetricLine& line) {
  const auto make = [&] {
    std::vector<Quantity> columns;
    for (const char* key : {"x", "y", "z", "loss", "norm"}) columns.push_back({.key = key});
    return PathRows{.optimizer = line.text("optimizer"),
                    .beta = line.number("beta"),
                    .target = {line.number("target_x"), line.number("target_y"), line.number("target_z")},
                    .rows = Rows(columns)};
  };
  paths_.get(line.text("series"), make).rows.add(step, line);
  return true;
}

std::map<std::string, Series> Gathered::series() const {
  std::map<std::string, Series> all;
  for (const auto& [kind, of] : kinds_) {
    Series& series = all[kind];
    series.table = of.rows.table();
    for (const auto& [subject, about] : of.about) {
      Subjects& subjects = series.about[subject];
      subjects.names = about.named.names;
      for (const std::string& name : subjects.names) subjects.tables.push_back(about.named.by_name.at(name).table());
    }
  }
  return all;
}

std::vector<Path> Gathered::paths() const {
  std::vector<Path> all;
  for (const std::string& name : paths_.names) {
    const PathRows& path = paths_.by_name.at(name);
    all.push_back({name, path.optimizer, path.beta, path.target, path.rows.table()});
  }
  return all;
}

}  // namespace az::experiments
