#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "core/base/random.h"
#include "core/tensor/create.h"
#include "experiments/invariance/scorecard.h"
#include "experiments/lessons/builtin.h"
#include "optim/projection.h"

namespace az::experiments {
namespace {

using optim::View;

// One weight for each way to be scale-invariant, and a classifier that is not.
const char* const network = R"({
  "seed": 1,
  "data": {"type": "shapes", "train_images": 1024, "test_images": 256, "batch_size": 64},
  "model": {"type": "network", "layers": [
    {"type": "conv2d", "out_channels": 16, "stride": 2, "padding": 1}, {"type": "batch_norm", "eps": 1e-3}, {"type": "relu"},
    {"type": "conv2d", "out_channels": 32, "stride": 2, "padding": 1, "bias": false}, {"type": "group_norm", "groups": 4}, {"type": "relu"},
    {"type": "weight_norm", "layer": {"type": "conv2d", "out_channels": 32, "stride": 2, "padding": 1}}, {"type": "relu"},
    {"type": "global_avg_pool"}, {"type": "linear", "out_features": 10}]},
  "optimizer": {"type": "sgdp", "lr": 0.1, "momentum": 0.9},
  "train": {"epochs": 3, "deterministic": true},
  "probes": [{"type": "scale_invariance", "every": 1, "parameters": "*weight*"}]
})";

struct Expected {
  std::string name, what;
  View view;
};
const std::vector<Expected> known = {{"0.weight", "a convolution before batch norm", View::channel},
                                     {"3.weight", "a convolution before group norm", View::layer},
                                     {"6.weight_v", "the direction in weight norm", View::channel},
                                     {"6.weight_g", "the length in weight norm", View::none},
                                     {"9.weight", "the classifier", View::none}};

double share_below(const std::vector<double>& values, double bound) {
  const auto below = std::count_if(values.begin(), values.end(), [=](double v) { return v < bound; });
  return double(below) / double(values.size());
}

void judge_network(LessonRun& run) {
  const std::string folder = train(run, "network", network);
  const Scorecard scorecard = judge_run(folder, 16);
  write_scorecard(scorecard, folder);
  std::map<std::string, Judged> judged;
  for (const Judged& one : scorecard.parameters) judged.emplace(one.name, one);
  for (const auto& [name, what, view] : known) {
    const Judged& one = judged.at(name);
    const int agree = (one.structure() == view) + (one.numbers() == view) + (one.cosine() == view);
    run.compare({.what = fmt::format("{}, {}: judges of 3 that say {}", name, what, optim::name_of(view)),
                 .predicted = 3,
                 .measured = double(agree)});
  }
  run.compare({.what = "0.weight: p of |dL| ~ 1/a^p, which an eps leaves",
               .predicted = 2,
               .measured = judged.at("0.weight").residue_order.value_or(NAN),
               .tolerance = 0.1});
  run.compare({.what = "0.weight: share of |cos| sqrt(n) below 0.1, channel by channel",
               .predicted = 0.99,
               .measured = share_below(judged.at("0.weight").channel_cosines, 0.1),
               .is = Measured::above});
  run.compare({.what = "9.weight: the same",
               .predicted = 0.3,
               .measured = share_below(judged.at("9.weight").channel_cosines, 0.1),
               .is = Measured::below});
}

// How often SGDP's rule holds for a gradient that has nothing to do with the weight.
struct Rates {
  double channel = 0, layer = 0;
};

Rates false_positives(const Shape& shape, double delta, int64_t draws) {
  Philox generator(3);
  Rates rates;
  for (int64_t draw = 0; draw < draws; ++draw) {
    const Tensor w = randn(shape, generator, DType::f64), g = randn(shape, generator, DType::f64);
    const optim::UpdateInfo info = optim::projected_update(
        shape, {.delta = delta, .wd_ratio = 1, .eps = 1e-8},
        [&](int64_t begin, int64_t count) {
          return optim::row_sums(count, w.data<double>() + begin, g.data<double>() + begin, g.data<double>() + begin);
        },
        [](int64_t, int64_t, optim::Removal) {});
    // Where the rule holds by channel, the optimizer does not ask whether it holds by layer; this does.
    const bool by_channel = info.view == optim::View::channel;
    rates.channel += double(by_channel) / double(draws);
    rates.layer +=
        double(by_channel ? info.layer_cosine < delta / std::sqrt(double(shape.numel())) : info.view == optim::View::layer) /
        double(draws);
  }
  return rates;
}

// |cos| sqrt(n) of unrelated directions is the size of a normal number.
double chance(double delta) { return std::erf(delta / std::sqrt(2.0)); }

void count_false_positives(LessonRun& run) {
  const int64_t draws = 40000;
  // Five standard deviations of a share p that is counted in so many draws, relative to it.
  const auto tolerance = [=](double p) { return 5 * std::sqrt((1 - p) / (p * double(draws))); };
  for (const double delta : {0.1, 0.3, 1.0}) {
    const Rates rates = false_positives({2, 144}, delta, draws);
    const double layer = chance(delta), channels = layer * layer;
    run.compare({.what = fmt::format("unrelated gradients, delta {}: share that passes as a layer", delta),
                 .predicted = layer,
                 .measured = rates.layer,
                 .tolerance = tolerance(layer)});
    run.compare({.what = fmt::format("unrelated gradients, delta {}: share that passes in both of 2 channels", delta),
                 .predicted = channels,
                 .measured = rates.channel,
                 .tolerance = tolerance(channels)});
  }
  const Rates many = false_positives({32, 27}, 0.1, 5000);
  run.compare({.what = "unrelated gradients, delta 0.1: share that passes in all of 32 channels, 0.08^32",
               .predicted = 0,
               .measured = many.channel,
               .absolute_tolerance = 1e-3});
}

void teach(LessonRun& run) {
  judge_network(run);
  count_false_positives(run);
}

}  // namespace

Lesson invariance_lesson() {
  return {.name = "invariance",
          .title = "Which weights are scale-invariant",
          .question = "How can one tell whether the length of a weight matters, and how often is SGDP's rule wrong about it?",
          .formula = "P(|cos(w, g)| < delta / sqrt(n)) = erf(delta / sqrt(2)) = 0.080 for delta 0.1 and unrelated w and g",
          .teach = teach};
}

}  // namespace az::experiments
