#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/ops/shape.h"
#include "experiments/lessons/builtin.h"
#include "experiments/lessons/toy.h"

namespace az::experiments {
namespace {

constexpr double betas[] = {0.9, 0.95, 0.99};
constexpr double lr = 0.01;
constexpr double digit = 1e-4, cent = 1e-2;  // the last that the authors' page shows of losses and norms

// (1 - cos(w, target))^2, which the authors' figures match.
Tensor fall(const Tensor& w) { return pow(1 - cosine(w, row_vector({0, -1})), 2); }

// The angle of w from the vertical: a slope of constant steepness, 1 / ||w||.
Tensor slide(const Tensor& w) {
  return sum(atan2(slice(w, {.axis = 1, .begin = 0, .end = 1}), slice(w, {.axis = 1, .begin = 1, .end = 2})));
}

struct Published {
  const char* optimizer;
  double beta, loss, norm;  // at iteration 499: the loss before the step, the norm after it
};
constexpr Published published[] = {{"GD", 0, .0086, 1.02},          {"momentum", 0.9, .0018, 2.93},
                                   {"momentum", 0.95, .0043, 5.67}, {"momentum", 0.99, .0153, 27.87},
                                   {"SGDP", 0.9, .0000, 1.12},      {"SGDP", 0.95, .0000, 1.14},
                                   {"SGDP", 0.99, .0000, 1.15}};

// Losses of beta 0.9 on the way.
constexpr struct {
  int iteration;
  double momentum, sgdp;
} on_the_way[] = {{45, 2.9975, 2.9023}, {60, .4537, .0902}, {105, .0453, .0009}};

std::string title_of(const Published& row) {
  return row.beta > 0 ? fmt::format("{}, beta {}", row.optimizer, row.beta) : row.optimizer;
}

config::Value::Object options_of(const Published& row) {
  const bool projects = std::string(row.optimizer) == "SGDP";
  config::Value::Object options = {{"type", projects ? "sgdp" : "sgd"}, {"lr", lr}, {"momentum", row.beta}};
  // As the projection divides by ||w|| + eps, an eps of 1e-8 leaves that share of the part along w, and the identity shows it.
  if (projects) options.insert(options.end(), {{"project_momentum", false}, {"eps", 1e-16}});
  return options;
}

double squared(const Tensor& x) { return sum(x * x).item(); }

void run_toy(LessonRun& run, const Published& row) {
  const bool projects = std::string(row.optimizer) == "SGDP";
  const double length = std::hypot(0.001, 1);
  Toy toy(run, {.name = title_of(row),
                .loss = "(1 - cos(w, (0, -1)))^2",
                .optimizer = options_of(row),
                .start = {0.001 / length, 1 / length},
                .steps = 500,
                .path = ToyOptions::Path{row.optimizer, row.beta, {0, -1}}});
  // SGDP's steps, which are across w, add their own squares only.
  optim::NormIdentity identity({.squared_norm = squared(toy.weight().detach()), .beta = projects ? 0 : row.beta});
  std::vector<double> losses;
  while (!toy.done()) {
    const Toy::Step step = toy.step(fall);
    losses.push_back(step.loss);
    const double moved = projects ? step.tangential : std::hypot(step.radial, step.tangential);
    const bool remembers = row.beta > 0 && !projects;
    identity.add({.squared_length = remembers ? lr * lr * squared(toy.state("momentum")) : moved * moved, .lr = lr});
  }
  const auto what = [&](const std::string& text) { return title_of(row) + ": " + text; };
  run.compare(
      {.what = what("loss at iteration 499"), .predicted = row.loss, .measured = losses[499], .absolute_tolerance = digit / 2});
  run.compare({.what = what("norm after it"), .predicted = row.norm, .measured = toy.norm(), .absolute_tolerance = cent / 2});
  if (row.beta == 0.9) {
    for (const auto& [iteration, momentum, sgdp] : on_the_way) {
      run.compare({.what = what(fmt::format("loss at iteration {}", iteration)),
                   .predicted = projects ? sgdp : momentum,
                   .measured = losses[size_t(iteration)],
                   .absolute_tolerance = digit});
    }
  }
  if (!projects && row.beta > 0) {
    const double beta = row.beta, fell = losses.front() - losses.back();
    run.compare({.what = what("norm by sqrt(1 + lr (1+b)/(1-b)^2 (L_0 - L_T))"),
                 .predicted = std::sqrt(1 + lr * (1 + beta) / ((1 - beta) * (1 - beta)) * fell),
                 .measured = toy.norm(),
                 .tolerance = 0.02});
  }
  run.compare({.what = what("||w||^2 by the identity"),
               .predicted = identity.squared_norm(),
               .measured = squared(toy.weight().detach()),
               .tolerance = 1e-13});
}

// Steps of equal length: how much ||w||^2 grows at each, in units of the step's square. lr is so small that w barely turns
// while momentum remembers.
void run_growth(LessonRun& run, double beta) {
  Toy toy(run, {.name = fmt::format("equal steps, beta {}", beta),
                .loss = "the angle of w from (0, 1)",
                .optimizer = {{"type", "sgd"}, {"lr", 1e-6}, {"momentum", beta}},
                .start = {0, 1},
                .steps = std::llround(12 / (1 - beta)),
                .every = 10});
  Toy::Step last;
  while (!toy.done()) last = toy.step(slide);
  const double step = last.radial * last.radial + last.tangential * last.tangential;
  run.compare({.what = fmt::format("growth of ||w||^2 in squares of a step, beta {}", beta),
               .predicted = 1 + 2 * beta / (1 - beta),
               .measured = (2 * last.norm * last.radial + step) / step,
               .tolerance = 1e-3});
}

void teach(LessonRun& run) {
  for (const Published& row : published) run_toy(run, row);
  for (double beta : betas) run_growth(run, beta);
}

}  // namespace

Lesson momentum_lesson() {
  return {.name = "momentum",
          .title = "Momentum inflates norms",
          .question = "Why does a weight whose length does not matter grow so much longer with momentum than without?",
          .formula = "||w'||^2 = ||w||^2 + lr^2 ||p_t||^2 + 2 lr^2 sum_{k<t} beta^(t-k) ||p_k||^2",
          .teach = teach};
}

}  // namespace az::experiments
