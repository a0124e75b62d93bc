#pragma once

#include <fmt/core.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/config/registry.h"
#include "experiments/measurement.h"
#include "experiments/metrics.h"
#include "optim/optimizer.h"

namespace az::experiments {

// Watches a training at some of its steps and writes what it saw to metrics.jsonl, in lines whose "kind" is its type. Make
// one's own by deriving from it: before() and after() see each parameter at a step that is due, report() then gives the lines,
// and columns() says what is in them.
class Probe : public optim::StepObserver, public config::Made {
 public:
  using Write = std::function<void(const MetricFields&)>;

  explicit Probe(int64_t every) : every_(every) {}

  // Whether it watches the given step, counted from 1: the first, and every so many.
  bool due(int64_t step) const { return step == 1 || step % every_ == 0; }
  // What is odd about it in a training of so many steps, each as "option: sentence".
  std::vector<std::string> examine(int64_t steps) const {
    if (every_ <= steps || steps == 1) return {};
    return {fmt::format("every: {} is more than the {} steps of the training: only the first is watched", every_, steps)};
  }
  // What its lines hold, by which reports draw it: the same as long as it lives.
  virtual std::vector<Quantity> columns() const = 0;
  // Writes about the step just watched, and forgets it: a resumed run must write the same. Kind, step and epoch are added to
  // each line. A line about a parameter names it in the field "parameter" and has all columns that are per parameter; any other
  // has all those that are not. A number that is not there is NaN.
  virtual void report(const Write& write) = 0;

 private:
  int64_t every_;
};

// The probes JSON can name. A factory takes (options, the optimizer's parameters).
struct ProbeRegistry : config::Registry<ProbeRegistry, std::unique_ptr<Probe>, const std::vector<Parameter>&> {
  static constexpr const char* kind = "probe";
  static void register_builtin();
  static void check_name(const std::string& name);  // lines of other kinds are there already
  static void check(const std::unique_ptr<Probe>& probe, const std::vector<Parameter>&);  // its columns
};

// Registers what comes with Azimuth; a second call does nothing.
void register_builtin_probes();

// Hands what a step does on to several probes; what one throws starts with its place and kind.
class Probes : public optim::StepObserver {
 public:
  void add(const std::string& kind, Probe& probe) { all_.emplace_back(kind, &probe); }
  bool empty() const { return all_.empty(); }
  void before(const Parameter& parameter, const Tensor& gradient) override;
  void after(const Parameter& parameter, const Tensor& gradient, const optim::UpdateInfo& info) override;

 private:
  template <class Turn> void each(const Parameter& parameter, const Turn& turn);

  std::vector<std::pair<std::string, Probe*>> all_;
};

struct NamedProbe {
  std::string kind;  // of its lines
  std::unique_ptr<Probe> probe;
  std::vector<Quantity> columns;  // what it declares
};
// What a probe reports; what it throws starts with its place and kind. Throws for fields that it did not declare, or declared
// and does not report.
std::vector<MetricFields> reported_by(const NamedProbe& probe);

}  // namespace az::experiments
