#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "experiments/measurement.h"
#include "experiments/metrics.h"
#include "experiments/report/run_data.h"

namespace az::experiments {

// Gathers a table line by line.
class Rows {
 public:
  explicit Rows(std::vector<Quantity> quantities) : quantities_(std::move(quantities)), columns_(quantities_.size()) {}
  void add(double step, const MetricLine& line);
  // Ascending; of lines for one step the last counts.
  Table table() const;

 private:
  std::vector<Quantity> quantities_;
  std::vector<double> steps_;
  std::vector<std::vector<double>> columns_;  // of each quantity
};

// Names in the order they came up, with what belongs to each.
template <class T> struct Named {
  std::vector<std::string> names = {};
  std::map<std::string, T> by_name = {};
  template <class Make> T& get(const std::string& name, const Make& make) {
    const auto found = by_name.find(name);
    if (found != by_name.end()) return found->second;
    names.push_back(name);
    return by_name.emplace(name, make()).first->second;
  }
};

// Gathers what all lines of a metrics.jsonl say, by what is declared of them.
class Gathered {
 public:
  explicit Gathered(const Measurements& declared);
  // False where the line is not what one of its kind is.
  bool add(const MetricLine& line);
  std::map<std::string, Series> series() const;
  std::vector<Path> paths() const;
  const std::set<std::string>& undeclared() const { return undeclared_; }  // kinds

 private:
  struct OfKind {
    struct About {
      std::vector<Quantity> quantities;
      Named<Rows> named = {};
    };
    std::vector<Quantity> of_step;
    Rows rows;
    std::map<std::string, About> about;  // by the subject
  };
  struct PathRows {
    std::string optimizer;
    double beta;
    std::vector<double> target;
    Rows rows;
  };
  bool add_path(double step, const MetricLine& line);

  std::map<std::string, OfKind> kinds_;
  Named<PathRows> paths_;
  std::set<std::string> undeclared_;
};

}  // namespace az::experiments
