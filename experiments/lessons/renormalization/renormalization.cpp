#include <fmt/core.h>

#include <functional>

#include "core/autograd/autograd.h"
#include "core/base/random.h"
#include "core/ops/elementwise.h"
#include "core/ops/loss.h"
#include "core/ops/reduce.h"
#include "core/tensor/create.h"
#include "experiments/checkpoint.h"
#include "experiments/experiment.h"
#include "experiments/history.h"
#include "experiments/lessons/builtin.h"
#include "experiments/lessons/toy.h"
#include "optim/norm_control.h"

namespace az::experiments {
namespace {

constexpr int64_t n = 256;  // numbers in w
constexpr int64_t steps = 8000, tail = steps / 4, seed = 7;
constexpr double lr = 0.01, b = 0.9, wd = 0.01, trust_ratio = 0.3;

// -cos(w, target) in noise that is fresh at each step: its gradient has a norm of 1 / ||w|| at right angles to w.
class NoisyFall {
 public:
  // The cosine is kept for the lesson: what is left of the loss, without the noise.
  Tensor operator()(const Tensor& w) {
    const Tensor cos = cosine(w, target_);
    left_ = 1 - cos.item();
    return sum(w * randn({1, n}, generator_, DType::f64)) / norm(w) / std::sqrt(double(n - 1)) - cos;
  }
  double left() const { return left_; }

 private:
  static Tensor first_axis() {
    std::vector<double> values(n, 0.0);
    values[0] = 1;
    return row_vector(values);
  }
  Tensor target_ = first_axis();
  Philox generator_{seed};
  double left_ = 0;
};

struct Way {
  std::string name;
  config::Value::Object optimizer;
  std::function<double(double)> squared_norm;  // after so many steps, from 1 on
  // What lr is to the direction; for trust ratios alone it is not lr / ||w||^2.
  std::function<double(double)> effective_lr = [r2 = squared_norm](double t) { return lr / r2(t); };
};

std::vector<Way> ways() {
  const auto momentum = [](config::Value::Object more = {}) {
    config::Value::Object options = {{"type", "sgd"}, {"lr", lr}, {"momentum", b}};
    options.insert(options.end(), more.begin(), more.end());
    return options;
  };
  const auto group = [](const char* option, const config::Value& value) {
    return config::Value::Object{{"groups", config::Value::Array{config::Value::Object{{"dims", 2}, {option, value}}}}};
  };
  const double share = lr * trust_ratio;  // of ||w||, the length of a step
  return {
      {"momentum", momentum(), [](double t) { return std::sqrt(1 + 2 * lr * lr * t / ((1 - b) * (1 - b))); }},
      {"projection",
       {{"type", "sgdp"}, {"lr", lr}, {"momentum", b}},
       [](double t) { return std::sqrt(1 + 2 * lr * lr * t / (1 - b * b)); }},
      {"renormalization", momentum(group("renormalize_every", 1)), [](double) { return 1.0; }},
      {"decay", momentum({{"weight_decay", wd}}), [](double) { return std::sqrt(lr / (2 * wd * (1 - b))); }},
      {"trust ratio", momentum(group("trust_ratio", trust_ratio)),
       [=](double t) { return std::exp(share * share * (1 + b) / (1 - b) * t); },
       [=](double) { return share * std::sqrt(1 - b * b); }},
  };
}

void run_toy(LessonRun& run, const Way& way) {
  Toy toy(run, {.name = way.name,
                .loss = "<z, w> / (||w|| sqrt(n - 1)) - cos(w, (1, 0, ...)), each number of z normal and drawn at each step",
                .optimizer = way.optimizer,
                .start = std::vector<double>(n, 1 / std::sqrt(double(n))),
                .seed = seed,
                .steps = steps,
                .every = 40});
  NoisyFall loss;
  double angle = 0, left = 0, rate = 0;
  for (int64_t t = 0; !toy.done(); ++t) {
    const Toy::Step step = toy.step([&](const Tensor& w) { return loss(w); });
    if (t < steps - tail) continue;
    angle += step.angle / double(tail);
    left += loss.left() / double(tail);
    rate += way.effective_lr(double(t)) / double(tail);
  }
  const auto compare = [&](const char* what, double predicted, double measured, double tolerance) {
    run.compare({.what = way.name + ": " + what, .predicted = predicted, .measured = measured, .tolerance = tolerance});
  };
  compare("norm in the end", std::sqrt(way.squared_norm(double(steps))), toy.norm(),
          way.name == "renormalization" ? 1e-12 : 0.05);
  compare("angle of a step", rate / std::sqrt(1 - b * b), angle, 0.05);
  compare("what is left of the loss", rate / (4 * (1 - b)), left, 0.1);
}

// Three convolutions with batch norm and a classifier, on drawings.
const char* const network = R"({
  "seed": 1,
  "data": {"type": "shapes", "train_images": 4096, "test_images": 512, "batch_size": 64},
  "model": {"type": "network", "layers": [
    {"type": "conv2d", "out_channels": 16, "padding": 1, "bias": false}, {"type": "batch_norm"}, {"type": "relu"}, {"type": "max_pool2d"},
    {"type": "conv2d", "out_channels": 32, "padding": 1, "bias": false}, {"type": "batch_norm"}, {"type": "relu"}, {"type": "max_pool2d"},
    {"type": "conv2d", "out_channels": 64, "padding": 1, "bias": false}, {"type": "batch_norm"}, {"type": "relu"},
    {"type": "global_avg_pool"}, {"type": "linear", "out_features": 10}]},
  "optimizer": {"type": "sgd", "lr": 0.1, "momentum": 0.9},
  "train": {"epochs": 4, "deterministic": true},
  "probes": [{"type": "scale_invariance", "every": 4}]
})";
const std::vector<std::string> convolutions = {"0.weight", "4.weight", "8.weight"};

// A trained network beside the one that it was at first.
class Trained {
 public:
  explicit Trained(const std::string& folder) : experiment_(load_run_config(folder)), fresh_(experiment_.model->clone()) {
    experiment_.model->load_state(load_checkpoint(folder + "/checkpoints/last").model.tensors);
    experiment_.model->train();
  }
  double norm(const std::string& name) { return optim::norm_of(experiment_.model->state().at(name)); }
  double first_norm(const std::string& name) { return optim::norm_of(fresh_->state().at(name)); }
  // The loss on the first batch, by the statistics of that batch.
  double loss() {
    NoGrad no_grad;
    experiment_.train.set_epoch(0);
    const data::Batch batch = *experiment_.train.begin();
    return cross_entropy((*experiment_.model)(batch.images), batch.labels).item();
  }
  double loss_at_first_norm(const std::vector<std::string>& names) {
    const auto state = experiment_.model->state();
    std::map<std::string, double> trained;
    for (const std::string& name : names) {
      trained[name] = norm(name);
      optim::set_norm(state.at(name), first_norm(name));
    }
    const double result = loss();
    for (const auto& [name, length] : trained) optim::set_norm(state.at(name), length);
    return result;
  }

 private:
  Experiment experiment_;
  nn::ModulePtr fresh_;
};

void run_network(LessonRun& run) {
  const std::string conv = "8.weight", classifier = "12.weight";
  Trained momentum(train(run, "network, momentum", network));
  Trained renormalized(
      train(run, "network, renormalization", network, {R"(optimizer.groups=[{"dims": 4, "renormalize_every": 1}])"}));
  Trained projected(train(run, "network, projection", network, {"optimizer.type=sgdp"}));
  train(run, "network, decay", network, {"optimizer.weight_decay=0.01"});
  train(run, "network, trust ratio", network, {R"(optimizer.groups=[{"dims": 4, "trust_ratio": 0.1}])"});

  const double loss = momentum.loss();
  run.compare({.what = "network, momentum: its loss, all convolutions scaled to their first norm",
               .predicted = loss,
               .measured = momentum.loss_at_first_norm(convolutions),
               .tolerance = 1e-3});
  run.compare({.what = "network, momentum: its loss, the classifier scaled to its first norm, a third above or more",
               .predicted = 1.33 * loss,
               .measured = momentum.loss_at_first_norm({classifier}),
               .is = Measured::above});
  run.compare({.what = "network, renormalization: norm of 8.weight, end over start",
               .predicted = 1,
               .measured = renormalized.norm(conv) / renormalized.first_norm(conv),
               .tolerance = 1e-6});
  run.compare({.what = "network, projection: norm of 8.weight, below that of momentum",
               .predicted = momentum.norm(conv),
               .measured = projected.norm(conv),
               .is = Measured::below});
}

void teach(LessonRun& run) {
  for (const Way& way : ways()) run_toy(run, way);
  run_network(run);
}

}  // namespace

Lesson renormalization_lesson() {
  return {.name = "renormalization",
          .title = "Why not just renormalize?",
          .question = "Why project steps, when each weight could be scaled back to its norm after every step?",
          .formula = "what is left of a loss in noise = effective lr / (4 (1 - beta)), effective lr = lr / ||w||^2",
          .teach = teach};
}

}  // namespace az::experiments
