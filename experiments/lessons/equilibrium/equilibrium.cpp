#include <fmt/core.h>

#include "core/base/random.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/tensor/create.h"
#include "experiments/lessons/builtin.h"
#include "experiments/lessons/toy.h"

namespace az::experiments {
namespace {

constexpr int64_t n = 1000;  // numbers in w
constexpr int64_t seed = 4;

// What is left of training once it goes nowhere: a scale-invariant loss whose gradient is fresh noise at each step, at right
// angles to w, of norm 1 / ||w||.
class Noise {
 public:
  Tensor operator()(const Tensor& w) {
    return sum(w * randn({1, n}, generator_, DType::f64)) / norm(w) / std::sqrt(double(n - 1));
  }

 private:
  Philox generator_{seed};
};

struct Setting {
  std::string name;
  config::Value::Object optimizer;
  double relaxation;  // steps
  double angle, radius;
};

struct Settled {
  double first_angle, angle, radius;
};

// Means over the last quarter of six relaxation times.
Settled settle(LessonRun& run, const Setting& setting) {
  const int64_t steps = std::max<int64_t>(4000, int64_t(6 * setting.relaxation)), tail = steps / 4;
  Toy toy(run, {.name = setting.name,
                .loss = "<z, w> / (||w|| sqrt(n - 1)), each number of z normal and drawn at each step",
                .optimizer = setting.optimizer,
                .start = std::vector<double>(n, 1 / std::sqrt(double(n))),
                .seed = seed,
                .steps = steps,
                .every = std::max<int64_t>(1, steps / 200)});
  Noise noise;
  Settled settled{};
  for (int64_t t = 0; !toy.done(); ++t) {
    const Toy::Step step = toy.step([&](const Tensor& w) { return noise(w); });
    if (t == 0) settled.first_angle = step.angle;
    if (t < steps - tail) continue;
    settled.angle += step.angle / double(tail);
    settled.radius += step.norm / double(tail);
  }
  return settled;
}

Settled compare(LessonRun& run, const Setting& setting) {
  const Settled settled = settle(run, setting);
  run.compare(
      {.what = setting.name + ": angle of a step", .predicted = setting.angle, .measured = settled.angle, .tolerance = 0.05});
  run.compare({.what = setting.name + ": norm", .predicted = setting.radius, .measured = settled.radius, .tolerance = 0.05});
  return settled;
}

// ||w||^4 = lr / (2 wd (1-b)) balances what steps add against coupled decay.
Setting sgd(const std::string& name, double lr, double wd, double b) {
  return {.name = name,
          .optimizer = {{"type", "sgd"}, {"lr", lr}, {"momentum", b}, {"weight_decay", wd}},
          .relaxation = (1 - b) / (4 * lr * wd),
          .angle = std::sqrt(2 * lr * wd / (1 + b)),
          .radius = std::pow(lr / (2 * wd * (1 - b)), 0.25)};
}

// Projected steps add their own squares, ||p||^2 = 1 / (||w||^2 (1 - b^2)); decay counts wd_ratio.
Setting sgdp(const std::string& name, double lr, double wd, double b, double wd_ratio) {
  const double shrink = lr * wd * wd_ratio / (1 - b);
  return {.name = name,
          .optimizer = {{"type", "sgdp"}, {"lr", lr}, {"momentum", b}, {"weight_decay", wd}, {"wd_ratio", wd_ratio}},
          .relaxation = 1 / (4 * shrink),
          .angle = std::sqrt(2 * shrink),
          .radius = std::pow(lr / (2 * wd * wd_ratio * (1 + b)), 0.25)};
}

// Every number of m / sqrt(v) has a mean square of (1-b)/(1+b), so ||w|| does not depend on the gradient's norm.
constexpr double adam_lr = 0.01, adam_wd = 0.3, adam_b = 0.9;
const config::Value::Array adam_betas = {adam_b, 0.99};  // v forgets in a hundred steps, and follows ||w||

Setting adamw() {
  return {.name = "AdamW",
          .optimizer = {{"type", "adamw"}, {"lr", adam_lr}, {"betas", adam_betas}, {"weight_decay", adam_wd}},
          .relaxation = 1 / (2 * adam_lr * adam_wd),
          .angle = std::sqrt(2 * adam_lr * adam_wd * (1 - adam_b) / (1 + adam_b)),
          .radius = std::sqrt(adam_lr * double(n) / (2 * adam_wd))};
}

Setting adamp() {
  const double wd_ratio = 0.1;
  return {.name = "AdamP",
          .optimizer =
              {{"type", "adamp"}, {"lr", adam_lr}, {"betas", adam_betas}, {"weight_decay", adam_wd}, {"wd_ratio", wd_ratio}},
          .relaxation = 1 / (2 * adam_lr * adam_wd * wd_ratio),
          .angle = std::sqrt(2 * adam_lr * adam_wd * wd_ratio),
          .radius = std::sqrt(adam_lr * double(n) * (1 - adam_b) / (1 + adam_b) / (2 * adam_wd * wd_ratio))};
}

void teach(LessonRun& run) {
  const double lr = 0.1, wd = 0.005, b = 0.9;
  compare(run, sgd("SGD", lr, wd, 0));
  compare(run, adamw());
  compare(run, adamp());
  // One product of rate and decay, split in three ways: one angle in the end, but not at first.
  for (double factor : {0.1, 1., 10.}) {
    const std::string name = fmt::format("momentum, lr {:.3g}, wd {:.3g}", lr * factor, wd / factor);
    const Settled settled = compare(run, sgd(name, lr * factor, wd / factor, b));
    // The noise has n numbers, so its norm is known to 1 / sqrt(2n), or 2.2 %.
    run.compare({.what = name + ": angle of the first step",
                 .predicted = std::atan(lr * factor),
                 .measured = settled.first_angle,
                 .tolerance = 0.1});
  }
  for (double wd_ratio : {1., 0.1, 0.03}) compare(run, sgdp(fmt::format("SGDP, wd_ratio {}", wd_ratio), lr, wd, b, wd_ratio));
  // The one that makes SGDP turn as far as momentum does.
  const double alike = (1 - b) / (1 + b);
  run.compare({.what = "SGDP, wd_ratio (1-b)/(1+b): angle of a step, as momentum's",
               .predicted = sgd("", lr, wd, b).angle,
               .measured = settle(run, sgdp("SGDP, wd_ratio as momentum", lr, wd, b, alike)).angle,
               .tolerance = 0.05});
}

}  // namespace

Lesson equilibrium_lesson() {
  return {.name = "equilibrium",
          .title = "Equilibrium: how far a step turns in the end",
          .question =
              "Where does the norm settle between steps that stretch a weight and decay that shrinks it, and how far does it "
              "turn then?",
          .formula = "angle = sqrt(2 lr wd / (1 + beta)) for SGD with momentum, whatever the gradients and the network",
          .teach = teach};
}

}  // namespace az::experiments
