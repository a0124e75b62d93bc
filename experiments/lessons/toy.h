#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "experiments/lessons/lesson.h"
#include "experiments/metrics.h"
#include "experiments/probes/scale_invariance.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"

namespace az::experiments {

struct ToyOptions {
  // Draws the way of w in the report, for a w of 2 or 3 numbers: one line an optimizer and beta. `target` lies where w should
  // point.
  struct Path {
    std::string optimizer;
    double beta = 0;
    std::vector<double> target = {};
  };
  std::string name;                                         // of its run
  std::string loss;                                         // in words; step() is given it
  config::Value::Object optimizer;                          // as a config has it: {{"type", "sgd"}, {"lr", 0.1}}
  config::Value::Object schedule = {{"type", "constant"}};  // likewise; an epoch is a step
  std::vector<double> start;
  std::vector<double> momentum = {};  // at first; none: of zeros
  std::optional<int64_t> seed = {};   // of the noise in the loss
  int64_t steps = 0;                  // at most
  int64_t every = 1;                  // steps between two lines of metrics.jsonl
  std::optional<Path> path = {};
};

// One weight w [1,n] in f64 that an optimizer of the library trains on functions of it, in a run folder of its own:
// config.json, which says all of these options but the path, measurements.json, and metrics.jsonl with lines of kinds "step",
// "scale_invariance" and "path".
class Toy {
 public:
  using Loss = std::function<Tensor(const Tensor& w)>;
  // What a step started from and did, as the probe scale_invariance tells it.
  struct Step {
    double loss = 0, norm = 0, gradient_norm = 0, effective_lr = 0, angle = 0, radial = 0, tangential = 0;
  };

  Toy(LessonRun& run, const ToyOptions& options);

  Step step(const Loss& loss);
  const Tensor& weight() const { return weight_; }
  double norm() const;  // ||w|| as of now
  int64_t steps() const { return optimizer_->steps(); }
  bool done() const { return steps() >= most_steps_; }
  // What the optimizer keeps for w, sharing memory: state("momentum").
  Tensor state(const std::string& slot) const;

 private:
  void write_path(double loss);

  Tensor weight_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  optim::Schedule schedule_;
  double lr_;  // which the schedule multiplies
  int64_t most_steps_;
  ScaleInvariance probe_;
  std::unique_ptr<MetricsLog> metrics_;
  std::string name_;
  std::optional<ToyOptions::Path> path_;
};

// What lines of kind "path" hold: where w was at a step of a series.
Measurement path_measurement();

// <a, b>/(||a|| ||b||), a number.
Tensor cosine(const Tensor& a, const Tensor& b);
// [1,n] in f64
Tensor row_vector(const std::vector<double>& values);

}  // namespace az::experiments
