#include <functional>

#include "core/config/json_document.h"
#include "optim/adam.h"
#include "optim/adamp.h"
#include "optim/sgd.h"
#include "optim/sgdp.h"
#include "tests/optim/model.h"

using namespace az;
using namespace az::optim;
using model::Outcome;
using model::Vector;
using model::Weight;

namespace {

struct Seen : StepObserver {
  std::map<std::string, UpdateInfo> info;
  void after(const Parameter& parameter, const Tensor&, const UpdateInfo& what) override { info[parameter.name] = what; }
};

using Make = std::function<std::unique_ptr<Optimizer>(std::vector<Parameter>)>;
using Rule = std::function<Outcome(Weight&, const Vector&)>;

// 12 steps on 5 shapes, library beside model; returns the largest relative distance seen in weights and state.
template <class T> double worst(const Make& make, const Rule& rule, View view, double delta, const std::string& when) {
  model::Random random{std::mt19937_64(7)};
  std::vector<Weight> weights;
  std::vector<Parameter> parameters;
  for (const Shape& shape : {Shape{17}, Shape{5, 6}, Shape{4, 3, 3, 3}, Shape{2, 530}, Shape{6, 1}}) {
    Vector p(size_t(shape.numel()));
    for (double& x : p) x = double(T(2 * random()));
    weights.push_back({.name = "w" + shape.str(),
                       .shape = shape,
                       .p = p,
                       .momentum = Vector(p.size()),
                       .m = Vector(p.size()),
                       .v = Vector(p.size())});
    parameters.push_back({weights.back().name, model::tensor<T>(shape, p).set_requires_grad()});
  }
  const auto optimizer = make(parameters);
  double largest = 0;
  for (int step = 0; step < 12; ++step) {
    std::vector<Vector> gradients;
    for (size_t i = 0; i < weights.size(); ++i) {
      gradients.push_back(model::gradient<T>(weights[i], view, delta, random));
      parameters[i].tensor.set_grad(model::tensor<T>(weights[i].shape, gradients[i]));
    }
    Seen seen;
    optimizer->step(&seen);
    const std::map<std::string, Tensor> state = optimizer->state();
    for (size_t i = 0; i < weights.size(); ++i) {
      Weight& w = weights[i];
      ++w.t;
      const Outcome outcome = rule(w, gradients[i]);
      const bool by_rule = w.shape.rank() > 1 && when == "rule";
      const View wanted = !by_rule ? outcome.view : w.length() == 1 && view == View::channel ? View::layer : view;
      CHECK(outcome.view == wanted);
      CHECK(seen.info[w.name].view == wanted);
      CHECK(seen.info[w.name].decay_ratio == outcome.ratio);
      CHECK(parameters[i].tensor.grad().to_vector<double>() == gradients[i]);
      largest = std::max(largest, model::distance(parameters[i].tensor.to_vector<double>(), w.p));
      const std::map<std::string, const Vector*> slots{{"momentum/", &w.momentum}, {"exp_avg/", &w.m}, {"exp_avg_sq/", &w.v}};
      for (const auto& [slot, expected] : slots) {
        if (!state.count(slot + w.name)) continue;
        const Tensor kept = state.at(slot + w.name);
        largest = std::max(largest, model::distance(kept.to_vector<double>(), *expected));
      }
    }
  }
  return largest;
}

void hold(const Make& make, const Rule& rule, View view = View::none, double delta = 0.1, const std::string& when = "rule") {
  CHECK(worst<double>(make, rule, view, delta, when) < 1e-12);
  CHECK(worst<float>(make, rule, view, delta, when) < 1e-6);
}

template <class Made, class Options> Make maker(const Options& options) {
  return [options](std::vector<Parameter> parameters) { return std::make_unique<Made>(std::move(parameters), options); };
}

Outcome sgd_rule(const SgdOptions& o, Weight& w, const Vector& gradient) {
  for (size_t i = 0; i < w.size(); ++i) {
    double g = gradient[i];
    if (!o.decoupled) g += o.weight_decay * w.p[i];
    double d = g;
    if (o.momentum != 0) {
      w.momentum[i] = w.t == 1 ? g : o.momentum * w.momentum[i] + (1 - o.dampening) * g;
      d = o.nesterov ? g + o.momentum * w.momentum[i] : w.momentum[i];
    }
    if (o.decoupled) w.p[i] *= 1 - o.lr * o.weight_decay;
    w.p[i] -= o.lr * d;
  }
  return {};
}

Outcome sgdp_rule(const SgdpOptions& o, Weight& w, const Vector& g) {
  Vector d(w.size());
  for (size_t i = 0; i < w.size(); ++i) {
    w.momentum[i] = o.momentum * w.momentum[i] + (1 - o.dampening) * g[i];
    d[i] = o.nesterov ? g[i] + o.momentum * w.momentum[i] : w.momentum[i];
  }
  const Outcome outcome = model::project(w, g, d, {o.delta, o.wd_ratio, o.eps, o.projection});
  if (o.project_momentum && !o.nesterov) w.momentum = d;
  for (size_t i = 0; i < w.size(); ++i) {
    w.p[i] *= 1 - o.lr * o.weight_decay * outcome.ratio / (1 - o.momentum);
    w.p[i] -= o.lr * d[i];
  }
  return outcome;
}

struct AdamModel {
  double lr, beta1, beta2, eps, coupled, decoupled;
  bool nesterov = false;
  model::ProjectionModel projection = {0, 1, 1e-8};
};

Outcome adam_rule(const AdamModel& o, Weight& w, const Vector& gradient) {
  Vector d(w.size());
  for (size_t i = 0; i < w.size(); ++i) {
    const double g = gradient[i] + o.coupled * w.p[i];
    w.m[i] = o.beta1 * w.m[i] + (1 - o.beta1) * g;
    w.v[i] = o.beta2 * w.v[i] + (1 - o.beta2) * g * g;
    const double root = std::sqrt(w.v[i]) / std::sqrt(1 - std::pow(o.beta2, w.t)) + o.eps;
    d[i] = (o.nesterov ? o.beta1 * w.m[i] + (1 - o.beta1) * g : w.m[i]) / root;
  }
  const Outcome outcome = o.projection.delta > 0 ? model::project(w, gradient, d, o.projection) : Outcome{};
  for (size_t i = 0; i < w.size(); ++i) {
    w.p[i] *= 1 - o.lr * o.decoupled * outcome.ratio;
    w.p[i] -= o.lr / (1 - std::pow(o.beta1, w.t)) * d[i];
  }
  return outcome;
}

const auto all_views = {View::none, View::channel, View::layer};

}  // namespace

TEST_CASE("SGD follows the f64 model over its options") {
  for (double momentum : {0.0, 0.9})
    for (bool nesterov : {false, true})
      for (double dampening : {0.0, 0.3})
        for (double weight_decay : {0.0, 1e-2})
          for (bool decoupled : {false, true}) {
            if (nesterov && (momentum == 0 || dampening != 0)) continue;
            const SgdOptions o{.lr = 0.1,
                               .momentum = momentum,
                               .dampening = dampening,
                               .nesterov = nesterov,
                               .weight_decay = weight_decay,
                               .decoupled = decoupled};
            INFO(config::dump(config::to_value(o)));
            hold(maker<Sgd>(o), [&](Weight& w, const Vector& g) { return sgd_rule(o, w, g); });
          }
}

TEST_CASE("SGDP follows the f64 model over its options, projecting by channel, by layer and not at all") {
  for (View view : all_views)
    for (double momentum : {0.0, 0.9})
      for (bool nesterov : {false, true})
        for (double dampening : {0.0, 0.3})
          for (double weight_decay : {0.0, 1e-2})
            for (double delta : {0.1, 0.5})
              for (double wd_ratio : {0.1, 0.6})
                for (bool project_momentum : {true, false})
                  for (double eps : {1e-8, 1e-2}) {
                    const SgdpOptions o{.lr = 0.1,
                                        .momentum = momentum,
                                        .dampening = dampening,
                                        .nesterov = nesterov,
                                        .weight_decay = weight_decay,
                                        .delta = delta,
                                        .wd_ratio = wd_ratio,
                                        .eps = eps,
                                        .project_momentum = project_momentum};
                    INFO(std::string(name_of(view)), config::dump(config::to_value(o)));
                    hold(
                        maker<Sgdp>(o), [&](Weight& w, const Vector& g) { return sgdp_rule(o, w, g); }, view, delta);
                  }
}

TEST_CASE("Adam and AdamW follow the f64 model over their options") {
  for (const Vector& betas : {Vector{0.9, 0.999}, Vector{0.8, 0.95}})
    for (double eps : {1e-8, 1e-2})
      for (double decay : {0.0, 1e-2}) {
        INFO("beta1 ", betas[0], ", eps ", eps, ", decay ", decay);
        const AdamModel l2{.lr = 0.05, .beta1 = betas[0], .beta2 = betas[1], .eps = eps, .coupled = decay, .decoupled = 0};
        const AdamModel beside{.lr = 0.05, .beta1 = betas[0], .beta2 = betas[1], .eps = eps, .coupled = 0, .decoupled = decay};
        hold(maker<Adam>(AdamOptions{.lr = 0.05, .betas = betas, .eps = eps, .weight_decay = decay}),
             [&](Weight& w, const Vector& g) { return adam_rule(l2, w, g); });
        hold(maker<AdamW>(AdamWOptions{.lr = 0.05, .betas = betas, .eps = eps, .weight_decay = decay}),
             [&](Weight& w, const Vector& g) { return adam_rule(beside, w, g); });
      }
}

TEST_CASE("AdamP follows the f64 model over its options, projecting by channel, by layer and not at all") {
  for (View view : all_views)
    for (const Vector& betas : {Vector{0.9, 0.999}, Vector{0.8, 0.95}})
      for (double eps : {1e-8, 1e-2})
        for (double decay : {0.0, 1e-2})
          for (double delta : {0.1, 0.5})
            for (double wd_ratio : {0.1, 0.6})
              for (bool nesterov : {false, true}) {
                const AdampOptions o{.lr = 0.05,
                                     .betas = betas,
                                     .eps = eps,
                                     .weight_decay = decay,
                                     .delta = delta,
                                     .wd_ratio = wd_ratio,
                                     .nesterov = nesterov};
                const AdamModel expected{.lr = 0.05,
                                         .beta1 = betas[0],
                                         .beta2 = betas[1],
                                         .eps = eps,
                                         .coupled = 0,
                                         .decoupled = decay,
                                         .nesterov = nesterov,
                                         .projection = {delta, wd_ratio, eps}};
                INFO(std::string(name_of(view)), config::dump(config::to_value(o)));
                hold(
                    maker<Adamp>(o), [&](Weight& w, const Vector& g) { return adam_rule(expected, w, g); }, view, delta);
              }
}

TEST_CASE("SGDP and AdamP project always or never when told to, whatever the cosines") {
  for (const char* when : {"channel", "layer", "never"})
    for (View view : all_views)
      for (bool nesterov : {false, true}) {
        INFO(when, std::string(name_of(view)), nesterov);
        const SgdpOptions o{
            .lr = 0.1, .momentum = 0.9, .nesterov = nesterov, .weight_decay = 1e-2, .wd_ratio = 0.3, .projection = when};
        const auto rule = [&](Weight& w, const Vector& g) {
          const Outcome outcome = sgdp_rule(o, w, g);
          const bool none = w.shape.rank() < 2 || o.projection == "never" || (o.projection == "channel" && w.length() == 1);
          CHECK(name_of(outcome.view) == std::string(none ? "none" : when));
          return outcome;
        };
        hold(maker<Sgdp>(o), rule, view, 0.1, when);
        const AdampOptions p{.lr = 0.05, .weight_decay = 1e-2, .wd_ratio = 0.3, .nesterov = nesterov, .projection = when};
        const AdamModel expected{.lr = 0.05,
                                 .beta1 = 0.9,
                                 .beta2 = 0.999,
                                 .eps = 1e-8,
                                 .coupled = 0,
                                 .decoupled = 1e-2,
                                 .nesterov = nesterov,
                                 .projection = {0.1, 0.3, 1e-8, when}};
        hold(
            maker<Adamp>(p), [&](Weight& w, const Vector& g) { return adam_rule(expected, w, g); }, view, 0.1, when);
      }
}

// The last two lines of You et al.'s LAMB (arXiv:1904.00962, algorithm 2): x -= lr ||x|| / ||r|| r, r the step without lr.
TEST_CASE("A trust ratio makes the step lr * ratio * norm long; renormalizing puts the starting norm back") {
  const GroupOptions trust{.pattern = "*", .trust_ratio = 0.4}, reset{.pattern = "*", .renormalize_every = 3};
  for (const GroupOptions& group : {trust, reset}) {
    const double lr = 0.1;
    const auto controlled = [&](const Rule& rule) {
      return [&, rule](Weight& w, const Vector& g) {
        const Vector before = w.p;
        const double norm = model::norm(before, 0, w.size());
        if (w.t == 1) w.start_norm = norm;
        const Outcome outcome = rule(w, g);
        Vector step(w.size());
        for (size_t i = 0; i < w.size(); ++i) step[i] = w.p[i] - before[i];
        const double length = model::norm(step, 0, w.size()), after = model::norm(w.p, 0, w.size());
        for (size_t i = 0; i < w.size(); ++i) {
          if (group.trust_ratio) w.p[i] = before[i] + lr * 0.4 * norm * step[i] / length;
          if (group.renormalize_every && w.t % 3 == 0) w.p[i] *= w.start_norm / after;
        }
        return outcome;
      };
    };
    const SgdOptions sgd{.lr = lr, .momentum = 0.9, .weight_decay = 1e-2, .groups = {group}};
    const AdamWOptions adamw{.lr = lr, .groups = {group}};
    const SgdpOptions sgdp{.lr = lr, .momentum = 0.9, .groups = {group}};
    const AdamModel adam{.lr = lr, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .coupled = 0, .decoupled = 1e-2};
    hold(maker<Sgd>(sgd), controlled([&](Weight& w, const Vector& g) { return sgd_rule(sgd, w, g); }));
    hold(maker<AdamW>(adamw), controlled([&](Weight& w, const Vector& g) { return adam_rule(adam, w, g); }));
    hold(maker<Sgdp>(sgdp), controlled([&](Weight& w, const Vector& g) { return sgdp_rule(sgdp, w, g); }), View::channel);
  }
}
