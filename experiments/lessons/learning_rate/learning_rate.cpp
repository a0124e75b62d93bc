#include <fmt/core.h>

#include "core/base/random.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/tensor/create.h"
#include "experiments/lessons/builtin.h"
#include "experiments/lessons/toy.h"

namespace az::experiments {
namespace {

using config::Value;

const std::string fall = "1 - cos(w, (0, -1))";
Tensor one_minus_cosine(const Tensor& w) { return 1 - cosine(w, row_vector({0, -1})); }

Tensor unit(const Tensor& w) {
  const Tensor value = w.detach();
  return value / norm(value);
}

// The angle below which a turn changes nothing any more.
constexpr double at_rest = 1e-12;

double distance(const Tensor& a, const Tensor& b) { return norm(a - b).item(); }

// Decay with one rate, and no decay with a rate that grows exponentially: the same directions (Li and Arora, 2019).
namespace exponential {

constexpr double lr = 0.1, momentum = 0.9, wd = 5e-3;
constexpr int64_t steps = 300, seed = 6;

// The mean of (<w/||w||, x> - y)^2 over eight points of a step's own.
Toy::Loss batch(int64_t step) {
  Philox generator(seed, uint64_t(step));
  const Tensor x = randn({8, 10}, generator, DType::f64), noise = randn({8}, generator, DType::f64);
  const Tensor y = sum(x, {.axes = {1}}) * (1 / std::sqrt(10.)) + 0.1 * noise;
  return [=](const Tensor& w) { return mean(pow(sum(x * w, {.axes = {1}}) / norm(w) - y, 2)); };
}

// w_t = alpha^t u_t makes u one without decay: alpha is the larger root of x^2 - (1 + momentum - lr wd) x + momentum.
double alpha() {
  const double half = (1 + momentum - lr * wd) / 2;
  return half + std::sqrt(half * half - momentum);
}

void teach(LessonRun& run) {
  ToyOptions options{.name = "decay",
                     .loss = "mean over 8 points, drawn at each step, of (<w/||w||, x> - y)^2",
                     .optimizer = {{"type", "sgd"}, {"lr", lr}, {"momentum", momentum}, {"weight_decay", wd}},
                     .start = {1, -2, 0.5, 1, 1, -1, 0, 2, 0.3, -0.7},
                     .seed = seed,
                     .steps = steps};
  // u rests before the first step, so w = alpha^t u has been shrinking: the momentum that decay alone would have built up.
  for (double w : options.start) options.momentum.push_back(w * ((1 - alpha()) / (lr * alpha())));
  Toy with_decay(run, options);
  options.name = "exponential rate";
  options.optimizer = {{"type", "sgd"}, {"lr", lr / alpha()}, {"momentum", momentum}};
  options.schedule = {{"type", "exponential"}, {"gamma", std::pow(alpha(), -2)}};
  options.momentum = {};
  Toy growing(run, options);
  options.name = "neither";
  options.optimizer = {{"type", "sgd"}, {"lr", lr}, {"momentum", momentum}};
  options.schedule = {{"type", "constant"}};
  Toy constant(run, options);
  double apart = 0, apart_from_constant = 0;
  for (int64_t t = 0; t < steps; ++t) {
    const Toy::Loss loss = batch(t);
    for (Toy* toy : {&with_decay, &growing, &constant}) toy->step(loss);
    apart = std::max(apart, distance(unit(with_decay.weight()), unit(growing.weight())));
    apart_from_constant = std::max(apart_from_constant, distance(unit(with_decay.weight()), unit(constant.weight())));
  }
  run.compare(
      {.what = "decay, exponential rate: directions apart", .predicted = 0, .measured = apart, .absolute_tolerance = 1e-9});
  run.compare(
      {.what = "decay, neither: directions apart", .predicted = 1e-3, .measured = apart_from_constant, .is = Measured::above});
  run.compare({.what = "exponential rate: norm over that with decay, alpha^-300",
               .predicted = std::pow(alpha(), -double(steps)),
               .measured = growing.norm() / with_decay.norm(),
               .tolerance = 1e-9});
}

}  // namespace exponential

// Without decay a weight grows until its effective rate is one that converges (Arora, Li and Lyu, 2019).
void teach_auto_tuning(LessonRun& run) {
  for (double lr : {0.1, 1., 10., 100., 1000.}) {
    const std::string name = fmt::format("no decay, lr {}", lr);
    Toy toy(run, {.name = name,
                  .loss = fall,
                  .optimizer = {{"type", "sgd"}, {"lr", lr}},
                  .start = {std::sin(2.), std::cos(2.)},
                  .steps = 5000,
                  .every = 5});
    Toy::Step last = toy.step(one_minus_cosine);
    while (!toy.done() && last.angle > at_rest) last = toy.step(one_minus_cosine);
    run.compare({.what = name + ": loss in the end", .predicted = 1e-6, .measured = last.loss, .is = Measured::below});
    // Below 2 it starts, and can only fall.
    if (lr > 2)
      run.compare(
          {.what = name + ": lr/||w||^2 in the end", .predicted = 2, .measured = last.effective_lr, .is = Measured::below});
  }
}

// The norm held at 1, so that lr is the effective rate: it converges below 2, and goes round a cycle of two above.
void teach_regimes(LessonRun& run) {
  for (double lr : {0.5, 1.9, 2.1, 3., 10.}) {
    const std::string name = fmt::format("on the circle, lr {}", lr);
    Toy toy(run, {.name = name,
                  .loss = fall,
                  .optimizer = {{"type", "sgd"},
                                {"lr", lr},
                                {"groups", Value::Array{Value::Object{{"dims", 2}, {"renormalize_every", 1}}}}},
                  .start = {std::sin(1.), -std::cos(1.)},
                  .steps = 500,
                  .path = ToyOptions::Path{.optimizer = name, .target = {0, -1}}});
    std::vector<double> losses;
    for (double angle = 1; !toy.done() && angle > at_rest;) {
      const Toy::Step step = toy.step(one_minus_cosine);
      losses.push_back(step.loss);
      angle = step.angle;
    }
    if (lr > 2) {
      run.compare({.what = name + ": loss of the 2-cycle",
                   .predicted = 1 - (1 + std::sqrt(1 + 2 * lr * lr)) / (2 * lr),
                   .measured = losses.back(),
                   .tolerance = 1e-6});
      continue;
    }
    // Near the minimum the angle, sqrt(2 loss), is multiplied by 1 - lr.
    size_t t = 0;
    while (t + 2 < losses.size() && losses[t] > 1e-6) ++t;
    run.compare({.what = name + ": factor on the angle at each step",
                 .predicted = std::abs(1 - lr),
                 .measured = std::sqrt(losses[t + 1] / losses[t]),
                 .tolerance = 1e-3});
  }
}

// With decay the effective rate grows again once there is no gradient, until it is too large (Lobacheva et al., 2021).
void teach_instability(LessonRun& run) {
  constexpr double lr = 0.5, wd = 1e-3, noise = 1e-8;
  constexpr int64_t seed = 6;
  Toy toy(run, {.name = "decay, near the minimum",
                .loss = fall + " + 1e-8 z x / ||w||, z normal and drawn at each step",
                .optimizer = {{"type", "sgd"}, {"lr", lr}, {"weight_decay", wd}},
                .start = {std::sin(1.), -std::cos(1.)},
                .seed = seed,
                .steps = 5000,
                .every = 20});
  Philox generator(seed);
  std::vector<double> rates, sines;
  while (!toy.done()) {
    const Tensor kick = row_vector({noise * generator.normal(), 0});
    const Toy::Step step = toy.step([&](const Tensor& w) { return one_minus_cosine(w) + sum(w * kick) / norm(w); });
    rates.push_back(step.effective_lr);
    sines.push_back(step.gradient_norm * step.norm);
  }
  const auto first_above = [&](double rate) {
    size_t t = 0;
    while (t < rates.size() && !(rates[t] > rate)) ++t;
    return t;
  };
  const size_t from = first_above(0.7), to = first_above(1.7);
  run.compare({.what = "decay: growth of ln(lr/||w||^2) at each step",
               .predicted = 2 * lr * wd,
               .measured = std::log(rates.at(to) / rates.at(from)) / double(to - from),
               .tolerance = 5e-3});
  // An outbreak: w all but rested, and then it does not. It begins where the sine last was smaller a step before.
  double sum_of_rates = 0, outbreaks = 0;
  bool quiet = false;
  for (size_t t = 1; t < sines.size(); ++t) {
    quiet = quiet || sines[t] < 1e-6;
    if (!quiet || sines[t] < 1e-2) continue;
    quiet = false;
    size_t begin = t;
    while (begin > 0 && sines[begin - 1] < sines[begin]) --begin;
    sum_of_rates += rates[begin];
    ++outbreaks;
  }
  run.compare({.what = "decay: outbreaks in 5000 steps", .predicted = 2, .measured = outbreaks, .is = Measured::above});
  run.compare(
      {.what = "decay: lr/||w||^2 where they begin", .predicted = 2, .measured = sum_of_rates / outbreaks, .tolerance = 0.05});
}

void teach(LessonRun& run) {
  exponential::teach(run);
  teach_auto_tuning(run);
  teach_regimes(run);
  teach_instability(run);
}

}  // namespace

Lesson learning_rate_lesson() {
  return {.name = "learning_rate",
          .title = "Learning-rate folklore",
          .question = "What does a learning rate mean for a weight whose length does not matter?",
          .formula =
              "effective rate of SGD = lr / ||w||^2; decay wd is the schedule lr alpha^(-2t-1), alpha^2 - (1 + beta - lr wd) "
              "alpha + "
              "beta = 0",
          .teach = teach};
}

}  // namespace az::experiments
