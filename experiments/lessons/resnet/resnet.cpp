#include <cmath>
#include <map>

#include "experiments/lessons/builtin.h"
#include "experiments/measurement.h"
#include "experiments/metrics.h"
#include "optim/norm_identity.h"

namespace az::experiments {
namespace {

constexpr double beta = 0.9;

// Every batch-normalised convolution but the shortcuts' is watched, at every step; no decay, one learning rate throughout.
constexpr const char* experiment = R"({
  "seed": 1,
  "data": {"type": "shapes", "train_images": 6400, "test_images": 500, "batch_size": 64},
  "model": {"type": "cifar_resnet", "depth": 20, "shortcut": "B"},
  "optimizer": {"type": "sgd", "lr": 0.1},
  "train": {"epochs": 3, "deterministic": true, "log_every": 10, "evaluation": {"every_epochs": 3}},
  "probes": [{"type": "scale_invariance", "every": 1, "parameters": "*conv*.weight"}],
  "checkpoint": {"keep": []}
})";

// What a run did to its watched weights, all together: sums over the weights of squares of norms.
struct Lengths {
  double start = 0, end = 0;  // ||w||^2 before the first step and after the last
  double steps = 0;           // sum over the steps of ||d||^2
  double identity = 0;        // growth of ||w||^2 that momentum's identity makes of the steps
  double projected = 0;       // share of the updates that were projected
  double kept = 0;            // effective learning rate at the last step, of that at the first; mean over the weights

  double growth() const { return end - start; }
};

// One weight's part of them.
struct Weight {
  double start = 0, end = 0;
  double first_rate = 0, rate = 0;  // effective
  optim::NormIdentity identity;
};

Lengths lengths(const std::string& folder) {
  Lengths all;
  const optim::NormRule rule = read_measurements(folder).norm_rule.value_or(optim::NormRule{});
  std::map<std::string, Weight> weights;
  std::vector<MetricLine> lines = read_metrics(folder + "/metrics.jsonl").lines;
  std::erase_if(lines, [](const MetricLine& line) { return line.kind != "scale_invariance"; });
  for (const MetricLine& line : lines) {
    const double norm = line.number("norm"), radial = line.number("radial"), tangential = line.number("tangential");
    const double across = tangential * tangential, square = radial * radial + across, rate = line.number("effective_lr");
    Weight& weight =
        weights
            .try_emplace(line.text("parameter"),
                         Weight{.start = norm * norm,
                                .first_rate = rate,
                                .identity = optim::NormIdentity({.squared_norm = norm * norm, .beta = rule.beta.value_or(0)})})
            .first->second;
    weight.rate = rate;
    all.steps += square;
    weight.identity.add({.squared_length = square, .lr = rate * std::pow(norm, line.number("norm_power"))});
    weight.end = (norm + radial) * (norm + radial) + across;
    all.projected += line.text("projected") != "none" ? 1 / double(lines.size()) : 0;
  }
  for (const auto& [name, weight] : weights) {
    all.start += weight.start;
    all.end += weight.end;
    all.identity += weight.identity.squared_norm() - weight.start;
    all.kept += weight.rate / weight.first_rate / double(weights.size());
  }
  return all;
}

void teach(LessonRun& run) {
  const auto trained = [&](const std::string& name, const std::string& optimizer) {
    return lengths(train(run, name, experiment, {"optimizer=" + optimizer}));
  };
  const Lengths sgd = trained("SGD", R"({"type": "sgd", "lr": 0.1})");
  const Lengths momentum = trained("momentum", R"({"type": "sgd", "lr": 0.1, "momentum": 0.9})");
  const Lengths sgdp = trained("SGDP", R"({"type": "sgdp", "lr": 0.1, "momentum": 0.9})");
  const Lengths adam = trained("Adam", R"({"type": "adam", "lr": 0.003})");
  const Lengths adamp = trained("AdamP", R"({"type": "adamp", "lr": 0.003})");

  const auto growth_in_squares = [&](const std::string& name, const Lengths& it) {
    run.compare({.what = name + ": growth of ||w||^2 in squares of its steps",
                 .predicted = 1,
                 .measured = it.growth() / it.steps,
                 .tolerance = 0.01});
  };
  growth_in_squares("SGD", sgd);
  growth_in_squares("SGDP", sgdp);
  growth_in_squares("AdamP", adamp);
  run.compare({.what = "momentum: the same, 1 + 2b/(1-b)",
               .predicted = 1 + 2 * beta / (1 - beta),
               .measured = momentum.growth() / momentum.steps,
               .tolerance = 0.05});
  run.compare({.what = "momentum: growth by the identity, step by step",
               .predicted = momentum.identity,
               .measured = momentum.growth(),
               .tolerance = 0.002});
  const auto bound = [&](const std::string& what, Measured is, double predicted, double measured) {
    run.compare({.what = what, .predicted = predicted, .measured = measured, .is = is});
  };
  bound("Adam: growth in squares of its steps", Measured::above, 5, adam.growth() / adam.steps);
  bound("SGDP: share of updates projected", Measured::above, 0.95, sgdp.projected);
  bound("AdamP: share of updates projected", Measured::above, 0.95, adamp.projected);
  bound("momentum: effective learning rate kept to the end", Measured::below, 0.8, momentum.kept);
  bound("SGDP: the same", Measured::above, 0.9, sgdp.kept);
  bound("Adam: the same", Measured::below, 0.96, adam.kept);
  bound("AdamP: the same", Measured::above, 0.98, adamp.kept);
}

}  // namespace

Lesson resnet_lesson() {
  return {.name = "resnet",
          .title = "The collapse of the effective step, and its cure",
          .question = "What does momentum do to the weights of a real network, and what do SGDP and AdamP do about it?",
          .formula =
              "||w'||^2 = ||w||^2 + 2 <d, w> + ||d||^2, where <d', w'> = beta (<d, w> + ||d||^2) for momentum and 0 where "
              "projected",
          .teach = teach};
}

}  // namespace az::experiments
