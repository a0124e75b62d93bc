#pragma once

#include <optional>
#include <set>
#include <string>

#include "experiments/probes/probe.h"

namespace az::experiments {

struct ScaleInvarianceOptions {
  int64_t every = 50;
  std::optional<std::string> parameters = {};

  static void fields(auto& f) {
    f("every", &ScaleInvarianceOptions::every, "steps from one that it watches to the next; the first is always watched",
      config::at_least(1));
    f("parameters", &ScaleInvarianceOptions::parameters,
      "which to watch, by name, with * and ?; null: all of more than one dimension");
  }
};

// What a step did to the direction and the length of each weight, a line a parameter: scale_invariance.cpp declares each
// quantity beside the code that computes it. Sums are in double. A weight of zeros has no direction: what is said of its step
// or angle is null, as what is not finite is.
class ScaleInvariance : public Probe {
 public:
  // Throws ConfigError when the pattern selects nothing, or only frozen parameters are left to watch.
  ScaleInvariance(const ScaleInvarianceOptions& options, const std::vector<Parameter>& parameters);

  void before(const Parameter& parameter, const Tensor& gradient) override;
  void after(const Parameter& parameter, const Tensor& gradient, const optim::UpdateInfo& info) override;
  std::vector<Quantity> columns() const override { return quantities(); }
  void report(const Write& write) override;
  static std::vector<Quantity> quantities();

 private:
  std::set<std::string> watched_;
  Tensor weight_;  // of the parameter being moved, from before
  std::vector<MetricFields> lines_;
};

}  // namespace az::experiments
