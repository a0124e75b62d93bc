#include <functional>
#include <limits>

#include "optim/adam.h"
#include "optim/adamp.h"
#include "optim/clip.h"
#include "optim/norm_control.h"
#include "optim/sgd.h"
#include "optim/sgdp.h"
#include "tests/optim/model.h"

// Updates of weights and gradients at all magnitudes that their number type holds, element by element.
using namespace az;
using namespace az::optim;

namespace {

using Real = long double;
using Reals = std::vector<Real>;

// A sum as it ought to be, and its largest term, to whose last place a kernel is held: terms may cancel.
struct Sum {
  Real value = 0, largest = 0;
  Sum(std::initializer_list<Real> terms) {
    for (Real term : terms) value += term, largest = std::max(largest, std::fabs(term));
  }
};

// The distance of neighbours at x.
template <class T> Real unit_in_last_place(Real x) {
  const T size = std::min(T(std::fabs(x)), std::numeric_limits<T>::max() / 2);
  return Real(std::nextafter(size, std::numeric_limits<T>::infinity())) - Real(size);
}

// How many units in the last place `found` is off; what lies beyond the largest number is to be infinite.
template <class T> Real error_of(Real found, const Sum& wanted) {
  const auto rounded = T(wanted.value);
  if (!std::isfinite(rounded) || std::isnan(found)) return Real(rounded) == found ? 0 : INFINITY;
  return std::fabs(found - wanted.value) / unit_in_last_place<T>(wanted.largest);
}

struct Rule {
  std::string name;
  std::function<std::unique_ptr<Optimizer>(std::vector<Parameter>)> make;
  // What the state becomes, from the state before; what the weight becomes, from the state after, as it was rounded.
  struct Before {
    Real g, p, first, second, unit, along;  // unit p and along: what a projection takes out is along (unit p)
    int t;
  };
  std::function<Sum(const Before&)> first, second;
  std::function<Sum(const Before& after)> weight;
  std::vector<std::string> slots;
  bool projects = false;
  bool looks_ahead = false;  // its mean of a gradient and a momentum is rounded before it is divided, as in the authors' code
  // d, which is projected, from the state after.
  std::function<Real(const Before& after)> direction = {};
};

constexpr double lr = 0.125, decay = 0.25, momentum = 0.875;
constexpr double beta1 = 0.875, beta2 = 0.96875, eps = 1e-8;

template <class Made, class Options> auto maker(const Options& options) {
  return [options](std::vector<Parameter> parameters) { return std::make_unique<Made>(std::move(parameters), options); };
}

Rule sgd(bool nesterov, bool decoupled) {
  const Real coupled = decoupled ? 0 : decay;
  return {.name = "sgd",
          .make = maker<Sgd>(
              SgdOptions{.lr = lr, .momentum = momentum, .nesterov = nesterov, .weight_decay = decay, .decoupled = decoupled}),
          .first =
              [=](const auto& b) {
                return Sum{momentum * b.first, b.g, coupled * b.p};
              },
          .second = {},
          .weight =
              [=](const auto& b) {
                const Real ahead = nesterov ? 1 : 0, along = nesterov ? momentum : 1;
                return Sum{b.p, -lr * ahead * b.g, -lr * ahead * coupled * b.p, -lr * along * b.first,
                           decoupled ? -lr * decay * b.p : 0};
              },
          .slots = {"momentum"}};
}

Rule sgdp(bool nesterov, bool project_momentum) {
  const bool stored = project_momentum && !nesterov;
  const auto direction = [=](const auto& b) { return nesterov ? b.g + momentum * b.first : b.first; };
  return {.name = "sgdp",
          .make = maker<Sgdp>(SgdpOptions{.lr = lr,
                                          .momentum = momentum,
                                          .nesterov = nesterov,
                                          .weight_decay = decay,
                                          .wd_ratio = 0.5,
                                          .project_momentum = project_momentum,
                                          .projection = "channel"}),
          .first =
              [=](const auto& b) {
                return Sum{momentum * b.first, b.g, stored ? -b.along * b.unit * b.p : 0};
              },
          .second = {},
          .weight =
              [=](const auto& b) {
                const Real removed = stored ? 0 : b.along * b.unit * b.p;
                return Sum{b.p, -lr * direction(b), lr * removed, -lr * decay * 0.5L / (1 - momentum) * b.p};
              },
          .slots = {"momentum"},
          .projects = true,
          .direction = direction};
}

Real adam_direction(const Rule::Before& b, bool nesterov) {
  const Real mean = nesterov ? beta1 * b.first + (1 - beta1) * b.g : b.first;
  return mean / (std::sqrt(b.second) / std::sqrt(1 - std::pow(Real(beta2), b.t)) + eps);
}

enum class Which { adam, adamw, adamp, adamp_nesterov };

Rule adam(Which which) {
  const bool nesterov = which == Which::adamp_nesterov, projects = which == Which::adamp || nesterov;
  const Real coupled = which == Which::adam ? decay : 0, beside = which == Which::adam ? 0 : projects ? decay / 2 : decay;
  Rule rule{.name = "adam",
            .make = maker<Adam>(AdamOptions{.lr = lr, .betas = {beta1, beta2}, .eps = eps, .weight_decay = decay}),
            .first =
                [=](const auto& b) {
                  return Sum{beta1 * b.first, (1 - beta1) * b.g, (1 - beta1) * coupled * b.p};
                },
            .second =
                [=](const auto& b) {
                  const Real g = b.g + coupled * b.p;
                  return Sum{beta2 * b.second, (1 - beta2) * g * g};
                },
            .weight =
                [=](const auto& b) {
                  const Real rate = lr / (1 - std::pow(Real(beta1), b.t));
                  return Sum{b.p, -rate * adam_direction(b, nesterov), rate * b.along * b.unit * b.p, -lr * beside * b.p};
                },
            .slots = {"exp_avg", "exp_avg_sq"},
            .projects = projects,
            .looks_ahead = nesterov,
            .direction = [=](const auto& b) { return adam_direction(b, nesterov); }};
  if (which == Which::adamw)
    rule.name = "adamw",
    rule.make = maker<AdamW>(AdamWOptions{.lr = lr, .betas = {beta1, beta2}, .eps = eps, .weight_decay = decay});
  if (projects)
    rule.name = "adamp", rule.make = maker<Adamp>(AdampOptions{.lr = lr,
                                                               .betas = {beta1, beta2},
                                                               .eps = eps,
                                                               .weight_decay = decay,
                                                               .wd_ratio = 0.5,
                                                               .nesterov = nesterov,
                                                               .projection = "channel"});
  return rule;
}

const std::vector<Rule>& rules() {
  static const std::vector<Rule> all = {sgd(false, false),  sgd(true, false),           sgd(false, true),  sgdp(false, true),
                                        sgdp(false, false), sgdp(true, true),           adam(Which::adam), adam(Which::adamw),
                                        adam(Which::adamp), adam(Which::adamp_nesterov)};
  return all;
}

constexpr int64_t rows = 3, length = 20;

// Weights and gradients of about that size, over three decades.
template <class T> std::vector<T> drawn(double size, model::Random& random) {
  std::vector<T> values(size_t(rows * length));
  for (T& x : values) x = T(size * random() * std::pow(10, random()));
  return values;
}

template <class T> Reals of(const Tensor& x) {
  const auto values = x.to_vector<T>();
  return Reals(values.begin(), values.end());
}

// The largest error in units in the last place over a few steps.
template <class T> Real worst(const Rule& rule, double weight_size, const std::vector<double>& gradient_sizes) {
  model::Random random{std::mt19937_64(4)};
  const Tensor w = Tensor::of({rows, length}, drawn<T>(weight_size, random)).set_requires_grad();
  const auto optimizer = rule.make({{"w", w}});
  Real largest = 0;
  std::vector<Reals> before(2, Reals(size_t(rows * length), 0));
  for (size_t step = 0; step < gradient_sizes.size(); ++step) {
    const Tensor gradient = Tensor::of({rows, length}, drawn<T>(gradient_sizes[step], random));
    const Reals p = of<T>(w), g = of<T>(gradient);
    w.set_grad(gradient);
    optimizer->step();
    const Reals moved = of<T>(w);
    std::vector<Reals> after;
    for (const std::string& slot : rule.slots) after.push_back(of<T>(optimizer->state().at(slot + "/w")));
    after.resize(2, Reals(moved.size(), 0));
    for (size_t row = 0; row < size_t(rows); ++row) {
      const auto at = [&](size_t i, const std::vector<Reals>& state) {
        return Rule::Before{g[i], p[i], state[0][i], state[1][i], 0, 0, int(step) + 1};
      };
      Real unit = 0, along = 0;
      if (rule.projects) {
        Real pp = 0;
        const size_t begin = row * size_t(length), end = begin + size_t(length);
        for (size_t i = begin; i < end; ++i) pp += p[i] * p[i];
        unit = 1 / (std::sqrt(pp) + Real(eps));
        for (size_t i = begin; i < end; ++i) {
          auto b = at(i, after);
          if (!rule.second) b.first = momentum * before[0][i] + g[i];  // SGDP's buffer before it is projected
          along += unit * p[i] * rule.direction(b);
        }
      }
      for (size_t i = row * size_t(length); i < (row + 1) * size_t(length); ++i) {
        Rule::Before then = at(i, before), now = at(i, after);
        then.unit = now.unit = unit, then.along = now.along = along;
        largest = std::max(largest, error_of<T>(after[0][i], rule.first(then)));
        if (rule.second) largest = std::max(largest, error_of<T>(after[1][i], rule.second(then)));
        largest = std::max(largest, error_of<T>(moved[i], rule.weight(now)));
      }
    }
    before = after;
  }
  return largest;
}

template <class T> void hold(const std::vector<double>& weight_sizes, const std::vector<double>& gradient_sizes) {
  for (const Rule& rule : rules())
    for (double weight : weight_sizes)
      for (double gradient : gradient_sizes) {
        if (rule.looks_ahead && gradient > 0 && gradient < std::numeric_limits<T>::min()) continue;
        CAPTURE(rule.name);
        CAPTURE(weight);
        CAPTURE(gradient);
        CHECK(worst<T>(rule, weight, {gradient, gradient, gradient}) <= 8);
      }
}

}  // namespace

TEST_CASE("Every optimizer's update is right to a few units in the last place at every magnitude whose square the type holds") {
  hold<float>({1e-42, 1e-30, 1e-20, 1e-5, 1, 1e10, 1e20, 1e30}, {0, 1e-42, 1e-30, 1e-20, 1e-10, 1, 1e10, 1e18});
  hold<double>({1e-310, 1e-200, 1e-30, 1, 1e30, 1e200}, {0, 1e-310, 1e-200, 1e-30, 1, 1e30, 1e150});
}

TEST_CASE(
    "Adam: beyond the range that optim/README.md gives, v is infinite and the weight stays where it is, as with PyTorch") {
  const double largest = std::sqrt(double(std::numeric_limits<float>::max()) / (1 - 0.999));  // 5.8e20
  for (const bool within : {true, false}) {
    const Tensor w = Tensor::of<float>({1}, {1}).set_requires_grad();
    AdamW adam({{"w", w}}, {.weight_decay = 0});
    w.set_grad(Tensor::of<float>({1}, {float(largest * (within ? 0.99 : 1.01))}));
    adam.step();
    CHECK(w.to_vector<double>()[0] == doctest::Approx(within ? 1 - 1e-3 : 1.0));
    w.set_grad(Tensor::of<float>({1}, {1}));
    for (int i = 0; i < 50; ++i) adam.step();
    CHECK((w.to_vector<double>()[0] < 0.999) == within);
  }
}

TEST_CASE("A trust ratio makes a step of lr * ratio * norm of any weight, far above the step's own size as well") {
  constexpr double ratio = 0.5;
  const GroupOptions trust{.pattern = "*", .trust_ratio = ratio};
  const std::vector<std::pair<const char*, std::function<std::unique_ptr<Optimizer>(std::vector<Parameter>)>>> all = {
      {"sgd", maker<Sgd>(SgdOptions{.lr = lr, .momentum = 0.9, .groups = {trust}})},
      {"sgdp", maker<Sgdp>(SgdpOptions{.lr = lr, .momentum = 0.9, .projection = "never", .groups = {trust}})},
      {"adam", maker<Adam>(AdamOptions{.lr = lr, .groups = {trust}})},
      {"adamw", maker<AdamW>(AdamWOptions{.lr = lr, .weight_decay = 0, .groups = {trust}})},
      {"adamp", maker<Adamp>(AdampOptions{.lr = lr, .projection = "never", .groups = {trust}})}};
  const auto hold_step = [&]<class T>(T, const std::vector<double>& sizes) {
    for (const auto& [name, make] : all)
      for (double size : sizes)
        for (double gradient : {1e-30, 1.0, 1e10}) {
          CAPTURE(std::string(name));
          CAPTURE(size);
          CAPTURE(gradient);
          // Orthogonal to the weight, so that a step of the right length and direction is known: lr * ratio * ||w|| along -g.
          const std::vector<T> start{T(size), T(size), T(-size), T(size)};
          const std::vector<T> g{T(gradient), T(-gradient), T(gradient), T(gradient)};
          const Tensor w = Tensor::of({2, 2}, start).set_requires_grad();
          w.set_grad(Tensor::of({2, 2}, g));
          make({{"w", w}})->step();
          const auto after = w.to_vector<T>();
          for (size_t i = 0; i < 4; ++i) {
            const Real wanted = Real(start[i]) - lr * ratio * Real(T(size)) * (g[i] > 0 ? 1 : -1);
            CHECK(std::fabs(Real(after[i]) / wanted - 1) < 4 * std::numeric_limits<T>::epsilon());
          }
        }
  };
  hold_step(float{}, {1e-30, 1e-5, 1, 1e6, 1e12, 1e30});
  hold_step(double{}, {1e-200, 1e-30, 1, 1e6, 1e15, 1e30, 1e200});
}

namespace {

// As a user may write one, without knowing that a step may be asked for alone.
struct Plain : Optimizer {
  Plain(std::vector<Parameter> parameters, const SgdOptions& options)
      : Optimizer("plain", std::move(parameters), options, {}) {}
  UpdateInfo update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState&) override {
    parameter.tensor.detach().add_(gradient, -group.lr);
    return {};
  }
};

}  // namespace

TEST_CASE("A trust ratio scales the step of an optimizer that moves its weight in place") {
  const Tensor w = Tensor::of<float>({2}, {3, 4}).set_requires_grad();
  w.set_grad(Tensor::of<float>({2}, {0, 2}));
  Plain(std::vector<Parameter>{{"w", w}}, {.lr = 0.5, .groups = {{.pattern = "*", .trust_ratio = 0.1}}}).step();
  CHECK(model::distance(w.to_vector<double>(), {3, 4 - 0.5 * 0.1 * 5}) < 1e-7);
}

TEST_CASE("Norms, renormalizing and clipping hold at every magnitude") {
  const auto hold_norm = [&]<class T>(T, const std::vector<double>& sizes) {
    for (double size : sizes) {
      CAPTURE(size);
      const Tensor w = Tensor::of<T>({2}, {T(3 * size), T(-4 * size)}).set_requires_grad();
      CHECK(norm_of(w) == doctest::Approx(5 * size).epsilon(1e-6));
      w.set_grad(Tensor::of<T>({2}, {T(4 * size), T(3 * size)}));
      Sgd optimizer({{"w", w}}, {.lr = 0.5, .groups = {{.pattern = "*", .renormalize_every = 1}}});
      optimizer.step();
      CHECK(norm_of(w) == doctest::Approx(5 * size).epsilon(1e-6));
      CHECK(w.to_vector<double>()[0] == doctest::Approx(1 * size * 5 / std::hypot(1, 5.5)).epsilon(1e-6));
    }
  };
  hold_norm(float{}, {1e-36, 1e-20, 1, 1e20, 1e37});
  hold_norm(double{}, {1e-300, 1e-200, 1, 1e200, 1e300});
  for (double size : {1e100, 1e200, 1e300}) {
    const Tensor w = Tensor::of<double>({2}, {1, 1}).set_requires_grad();
    w.set_grad(Tensor::of<double>({2}, {3 * size, 4 * size}));
    CHECK(clip_grad_norm({{"w", w}}, 10) == doctest::Approx(5 * size).epsilon(1e-12));
    CHECK(model::distance(w.grad().to_vector<double>(), {6, 8}) < 1e-12);
  }
  const Tensor w = Tensor::of<float>({2}, {1, 1}).set_requires_grad();
  w.set_grad(Tensor::of<float>({2}, {3e38f, 3e38f}));
  clip_grad_norm({{"w", w}}, 1e-3);
  CHECK(model::distance(w.grad().to_vector<double>(), {1e-3 / std::sqrt(2.0), 1e-3 / std::sqrt(2.0)}) < 1e-6);
}

TEST_CASE("The projection sees angles at every magnitude, once norms are above eps") {
  for (double weight : {1e-6, 1.0, 1e150, 1e200})
    for (double gradient : {1e-6, 1.0, 1e150, 1e200}) {
      CAPTURE(weight);
      CAPTURE(gradient);
      struct Seen : StepObserver {
        UpdateInfo info;
        void after(const Parameter&, const Tensor&, const UpdateInfo& what) override { info = what; }
      } seen;
      const Tensor w = Tensor::of<double>({1, 2}, {weight, 0}).set_requires_grad();
      w.set_grad(Tensor::of<double>({1, 2}, {0.6 * gradient, 0.8 * gradient}));
      Sgdp({{"w", w}}, {.lr = 1e-3}).step(&seen);
      CHECK(seen.info.channel_cosine == doctest::Approx(0.6).epsilon(1e-12));
      CHECK(seen.info.view == View::none);
    }
}
