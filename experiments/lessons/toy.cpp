#include "experiments/lessons/toy.h"

#include <algorithm>
#include <map>

#include "core/base/files.h"
#include "core/config/json_document.h"
#include "core/ops/reduce.h"
#include "experiments/training_lines.h"
#include "optim/builtin.h"
#include "optim/norm_control.h"

namespace az::experiments {
namespace {

using config::Value;
using OptimizerOptions = config::Component<optim::OptimizerRegistry>;
using ScheduleOptions = config::Component<optim::ScheduleRegistry>;

Value list(const std::vector<double>& values) { return Value::Array(values.begin(), values.end()); }

// Says where w and the momentum start. If w has more than three numbers and all are equal, one is told, and how many there are.
Value start_of(const ToyOptions& options) {
  const std::vector<double>& w = options.start;
  const bool equal = w.size() > 3 && std::equal(w.begin() + 1, w.end(), w.begin());
  Value start = Value::Object{{"w", equal ? Value(w.front()) : list(w)}};
  if (equal) start["numbers"] = int64_t(w.size());
  if (!options.momentum.empty()) start["momentum"] = list(options.momentum);
  return start;
}

}  // namespace

Tensor row_vector(const std::vector<double>& values) { return Tensor::of<double>({1, int64_t(values.size())}, values); }

Tensor cosine(const Tensor& a, const Tensor& b) { return cosine_similarity(a, b, {.axis = -1}).reshape({}); }

Toy::Toy(LessonRun& run, const ToyOptions& options)
    : weight_(row_vector(options.start).set_requires_grad()),
      most_steps_(options.steps),
      probe_({.every = options.every}, {{"w", weight_}}),
      name_(options.name),
      path_(options.path) {
  const auto optimizer = config::parse<OptimizerOptions>(Value(options.optimizer), options.name);
  const auto schedule = config::parse<ScheduleOptions>(Value(options.schedule), options.name);
  optimizer_ = optimizer.create(std::vector<Parameter>{{"w", weight_}});
  schedule_ = schedule.create();
  lr_ = optimizer_->lr();
  if (!options.momentum.empty()) {
    const auto count = [](int64_t number) { return Tensor::of<int64_t>({}, {number}); };
    optimizer_->load_state({{"steps", count(0)}, {"steps/w", count(1)}, {"momentum/w", row_vector(options.momentum)}});
  }
  const std::string folder = run.add_run(name_);
  const Value probe = Value::Object{{"type", "scale_invariance"}, {"every", options.every}};
  const Value config = Value::Object{{"name", name_},
                                     {"seed", options.seed ? Value(*options.seed) : Value()},
                                     {"optimizer", optimizer.to_value()},
                                     {"schedule", schedule.to_value()},
                                     {"loss", options.loss},
                                     {"start", start_of(options)},
                                     {"train", Value::Object{{"max_steps", options.steps}}},
                                     {"probes", Value::Array{probe}}};
  write_file(folder + "/config.json", config::dump(config, 2) + "\n");
  Measurements measurements{{step_measurement(), {"scale_invariance", probe_.columns()}}, optimizer_->norm_rule()};
  if (path_) measurements.add(path_measurement());
  record_measurements(folder, measurements);
  metrics_ = std::make_unique<MetricsLog>(folder + "/metrics.jsonl", 0);
}

double Toy::norm() const { return optim::norm_of(weight_); }

Tensor Toy::state(const std::string& slot) const { return optimizer_->state().at(slot + "/w"); }

Toy::Step Toy::step(const Loss& loss_of) {
  optimizer_->set_lr(lr_ * schedule_({.step = steps(), .total_steps = most_steps_, .steps_per_epoch = 1}));
  const Tensor loss = loss_of(weight_);
  optimizer_->zero_grad();
  loss.backward();
  const int64_t number = optimizer_->steps() + 1;
  const bool logged = probe_.due(number);
  if (logged) {
    if (path_) write_path(loss.item());
    metrics_->write("step", step_fields({.step = number, .epoch = 1, .lr = optimizer_->lr(), .loss = loss.item()}));
  }
  optimizer_->step(&probe_);
  std::map<std::string, double> seen;
  probe_.report([&](const MetricFields& fields) {
    for (const auto& [name, value] : fields) {
      if (const double* number_of = std::get_if<double>(&value)) seen[name] = *number_of;
    }
    if (!logged) return;
    MetricFields line = {{"step", number}, {"epoch", int64_t(1)}};
    line.insert(line.end(), fields.begin(), fields.end());
    metrics_->write("scale_invariance", line);
  });
  return {.loss = loss.item(),
          .norm = seen["norm"],
          .gradient_norm = seen["gradient_norm"],
          .effective_lr = seen["effective_lr"],
          .angle = seen["angle"],
          .radial = seen["radial"],
          .tangential = seen["tangential"]};
}

Measurement path_measurement() {
  Measurement path{"path", {}};
  for (const char* key : {"series", "optimizer", "beta", "x", "y", "z", "target_x", "target_y", "target_z", "loss", "norm"})
    path.quantities.push_back({.key = key, .drawn = false});  // the page draws the path itself, and no plots over steps
  return path;
}

void Toy::write_path(double loss) {
  MetricFields line = {
      {"series", name_}, {"optimizer", path_->optimizer}, {"beta", path_->beta}, {"step", optimizer_->steps()}};
  const double* w = weight_.data<double>();
  for (int64_t i = 0; i < weight_.numel(); ++i) line.emplace_back(std::string(1, "xyz"[i]), w[i]);
  const std::vector<double>& target = path_->target;
  for (size_t i = 0; i < target.size(); ++i) line.emplace_back(fmt::format("target_{}", "xyz"[i]), target[i]);
  line.insert(line.end(), {{"loss", loss}, {"norm", norm()}});
  metrics_->write("path", line);
}

}  // namespace az::experiments
