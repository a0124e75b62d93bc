#include "experiments/lessons/toy.h"

#include <map>

#include "core/config/json_document.h"
#include "core/files.h"
#include "core/ops/reduce.h"
#include "optim/builtin.h"
#include "optim/norm_control.h"

namespace az::experiments {
namespace {

using OptimizerOptions = config::Component<optim::OptimizerRegistry>;

}  // namespace

Tensor row_vector(const std::vector<double>& values) { return Tensor::of<double>({1, int64_t(values.size())}, values); }

Tensor cosine(const Tensor& a, const Tensor& b) { return cosine_similarity(a, b, {.axis = -1}).reshape({}); }

Toy::Toy(LessonRun& run, const ToyOptions& options)
    : weight_(row_vector(options.start).set_requires_grad()),
      probe_({.every = options.every}, {{"w", weight_}}),
      name_(options.name),
      path_(options.path) {
  const auto optimizer = config::parse<OptimizerOptions>(config::Value(options.optimizer), options.name);
  optimizer_ = optimizer.create(std::vector<Parameter>{{"w", weight_}});
  const std::string folder = run.add_run(name_);
  const config::Value config = config::Value::Object{{"name", name_}, {"optimizer", optimizer.to_value()}};
  write_file(folder + "/config.json", config::dump(config, 2) + "\n");
  metrics_ = std::make_unique<MetricsLog>(folder + "/metrics.jsonl", 0);
}

double Toy::norm() const { return optim::norm_of(weight_); }

Tensor Toy::state(const std::string& slot) const { return optimizer_->state().at(slot + "/w"); }

Toy::Step Toy::step(const Loss& loss_of) {
  const Tensor loss = loss_of(weight_);
  optimizer_->zero_grad();
  loss.backward();
  const int64_t number = optimizer_->steps() + 1;
  const bool logged = probe_.due(number);
  if (logged) {
    if (path_) write_path(loss.item());
    metrics_->write("step", {{"step", number}, {"epoch", int64_t(1)}, {"lr", optimizer_->lr()}, {"loss", loss.item()}});
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

void Toy::write_path(double loss) {
  MetricFields line = {{"series", name_}, {"optimizer", path_->optimizer}, {"beta", path_->beta}, {"step", optimizer_->steps()}};
  const double* w = weight_.data<double>();
  for (int64_t i = 0; i < weight_.numel(); ++i) line.emplace_back(std::string(1, "xyz"[i]), w[i]);
  const std::vector<double>& target = path_->target;
  for (size_t i = 0; i < target.size(); ++i) line.emplace_back(fmt::format("target_{}", "xyz"[i]), target[i]);
  line.insert(line.end(), {{"loss", loss}, {"norm", norm()}});
  metrics_->write("path", line);
}

}  // namespace az::experiments
