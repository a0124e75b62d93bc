#include "experiments/report/table.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace az::experiments {
namespace {

// The rows of the smallest and of the largest number in column[begin, end); `end` where there is none.
std::pair<size_t, size_t> extreme_rows(const std::vector<double>& column, size_t begin, size_t end) {
  size_t low = end, high = end;
  for (size_t i = begin; i < end; ++i) {
    if (std::isnan(column[i])) continue;
    if (low == end || column[i] < column[low]) low = i;
    if (high == end || column[i] > column[high]) high = i;
  }
  return {low, high};
}

// The two extremes in the order they came in; the largest and NaN where some numbers are missing.
std::pair<double, double> extremes(const std::vector<double>& column, size_t begin, size_t end) {
  auto [low, high] = extreme_rows(column, begin, end);
  for (size_t i = begin; i < end && low != end; ++i) {
    if (std::isnan(column[i])) low = i;
  }
  if (low == end) return {NAN, NAN};
  return {column[std::min(low, high)], column[std::max(low, high)]};
}

}  // namespace

Table aligned(const Table& table, const std::vector<double>& steps) {
  if (table.step == steps) return table;
  Table result{steps, {}};
  for (const auto& [name, column] : table.columns) {
    std::vector<double>& to = result.columns[name] = std::vector<double>(steps.size(), NAN);
    for (size_t i = 0; i < table.rows(); ++i) {
      const auto at = std::lower_bound(steps.begin(), steps.end(), table.step[i]);
      if (at != steps.end() && *at == table.step[i]) to[size_t(at - steps.begin())] = column[i];
    }
  }
  return result;
}

Table mean_of(const std::vector<Table>& tables, const std::set<std::string>& geometric) {
  if (tables.empty()) return {};
  Table result{tables.front().step, {}};
  for (const auto& [name, first] : tables.front().columns) {
    std::vector<double>& mean = result.columns[name] = std::vector<double>(result.rows(), NAN);
    const bool logs = geometric.count(name) > 0;
    for (size_t i = 0; i < result.rows(); ++i) {
      double sum = 0, count = 0;
      for (const Table& table : tables) {
        const double x = table.columns.at(name)[i];
        if (!std::isnan(x)) sum += logs ? std::log(x) : x, ++count;
      }
      if (count > 0) mean[i] = logs ? std::exp(sum / count) : sum / count;
    }
  }
  return result;
}

double stretch_for(const Table& table, size_t points) {
  return table.rows() <= points ? 0 : std::ceil((table.step.back() + 1 - table.step.front()) / double(points / 2 - 2));
}

Table thinned(const Table& table, double stretch, const std::set<std::string>& sampled) {
  if (stretch <= 0) return table;
  std::vector<size_t> starts;  // of stretches, as rows
  for (size_t i = 0; i < table.rows(); ++i) {
    if (i == 0 || i + 1 == table.rows() || std::floor(table.step[i] / stretch) != std::floor(table.step[i - 1] / stretch))
      starts.push_back(i);
  }
  starts.push_back(table.rows());
  Table result;
  for (size_t k = 0; k + 1 < starts.size(); ++k) {
    const size_t begin = starts[k], count = starts[k + 1] - begin;
    result.step.push_back(table.step[begin]);
    if (count > 1) result.step.push_back(table.step[begin + count / 2]);
  }
  for (const auto& [name, column] : table.columns) {
    std::vector<double>& to = result.columns[name];
    for (size_t k = 0; k + 1 < starts.size(); ++k) {
      const size_t begin = starts[k], count = starts[k + 1] - begin;
      const auto [first, second] =
          sampled.count(name) ? std::pair(column[begin], column[begin + count / 2]) : extremes(column, begin, begin + count);
      to.push_back(first);
      if (count > 1) to.push_back(second);
    }
  }
  return result;
}

Table outline(const Table& table, const std::vector<std::string>& names, size_t points) {
  if (table.rows() <= points) return table;
  const size_t stretch = table.rows() / (points / (2 * names.size())) + 1;
  std::set<size_t> kept = {0, table.rows() - 1};
  for (size_t begin = 0; begin < table.rows(); begin += stretch) {
    const size_t end = std::min(begin + stretch, table.rows());
    for (const std::string& name : names) {
      const auto [low, high] = extreme_rows(table.columns.at(name), begin, end);
      if (low != end) kept.insert({low, high});
    }
  }
  Table result;
  for (size_t i : kept) result.step.push_back(table.step[i]);
  for (const auto& [name, column] : table.columns) {
    for (size_t i : kept) result.columns[name].push_back(column[i]);
  }
  return result;
}

}  // namespace az::experiments
