#include <fmt/core.h>

#include <algorithm>

#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/ops/shape.h"
#include "experiments/lessons/builtin.h"
#include "experiments/lessons/toy.h"

namespace az::experiments {
namespace {

// (psi, phi) = 4 (x, y)/||w||: the valley on the upper half of the sphere. The authors publish start, optimum and radii, but
// neither this chart nor the numbers below, which are chosen for momentum's radius.
constexpr double chart = 4, lr = 1.66e-5, beta = 0.9;
// Decay takes this share of ||w|| at each step.
constexpr double shrink = 0.007;

Tensor valley(const Tensor& w) {
  const Tensor at = w * chart / norm(w);
  const Tensor psi = slice(at, {.axis = 1, .begin = 0, .end = 1}), phi = slice(at, {.axis = 1, .begin = 1, .end = 2});
  return sum(pow(1 - psi, 2) + 300 * pow(phi - pow(psi, 2), 2));
}

struct Walk {
  double peak = 0, radius = 0, loss = 0;  // the largest radius; radius and loss in the end
  int64_t peak_at = 0;
};

Walk walk(LessonRun& run, const std::string& name, const config::Value::Object& optimizer) {
  const auto at = [](double psi, double phi) {
    const double x = psi / chart, y = phi / chart;
    return std::vector<double>{x, y, std::sqrt(1 - x * x - y * y)};
  };
  Toy toy(run, {.name = name,
                .loss = "(1 - psi)^2 + 300 (phi - psi^2)^2, (psi, phi) = 4 (x, y)/||w||",
                .optimizer = optimizer,
                .start = at(-2, 2),
                .steps = 200,
                .path = ToyOptions::Path{name, beta, at(1, 1)}});
  Walk result;
  while (!toy.done()) {
    toy.step(valley);
    result.radius = toy.norm();
    if (result.radius > result.peak) result.peak = result.radius, result.peak_at = toy.steps() - 1;
  }
  result.loss = valley(toy.weight().detach()).item();
  return result;
}

void teach(LessonRun& run) {
  const config::Value::Object sgd = {{"type", "sgd"}, {"lr", lr}, {"momentum", beta}};
  config::Value::Object decayed = sgd;
  decayed.insert(decayed.end(), {{"weight_decay", shrink / lr}, {"decoupled", true}});
  const Walk momentum = walk(run, "momentum", sgd);
  const Walk decay = walk(run, "decay", decayed);
  const Walk projection =
      walk(run, "projection", {{"type", "sgdp"}, {"lr", lr}, {"momentum", beta}, {"project_momentum", false}});
  run.compare({.what = "momentum: radius in the end (lr chosen for it)",
               .predicted = 3.162,
               .measured = momentum.radius,
               .tolerance = 0.05});
  run.compare({.what = "decay: largest radius", .predicted = 2.527, .measured = decay.peak, .tolerance = 0.05});
  run.compare({.what = "decay: radius in the end (decay chosen for it)",
               .predicted = 0.836,
               .measured = decay.radius,
               .tolerance = 0.05});
  run.compare({.what = "projection: radius in the end", .predicted = 1.121, .measured = projection.radius, .tolerance = 0.05});
  // The shapes: one that only rises, one that turns early, one that stays low and gets there.
  run.compare({.what = "momentum: radius in the end over the largest",
               .predicted = 1,
               .measured = momentum.radius / momentum.peak,
               .tolerance = 1e-12});
  run.compare({.what = "decay: iteration of the largest radius",
               .predicted = 50,
               .measured = double(decay.peak_at),
               .is = Measured::below});
  run.compare({.what = "projection: loss in the end", .predicted = 0.01, .measured = projection.loss, .is = Measured::below});
  run.compare({.what = "momentum: loss in the end", .predicted = 0.1, .measured = momentum.loss, .is = Measured::above});
  run.compare({.what = "decay: loss in the end", .predicted = 0.1, .measured = decay.loss, .is = Measured::above});
}

}  // namespace

Lesson rosenbrock_lesson() {
  return {.name = "rosenbrock",
          .title = "Rosenbrock's valley on a sphere",
          .question = "What do momentum, decay and projection do to the length of a weight on its way through a curved valley?",
          .formula = "L(w) = (1 - psi)^2 + 300 (phi - psi^2)^2, (psi, phi) = 4 (x, y)/||w||",
          .teach = teach};
}

}  // namespace az::experiments
