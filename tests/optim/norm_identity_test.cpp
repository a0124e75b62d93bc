// What optimizers say of how norms grow, and whether it is so.
#include "optim/norm_identity.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "optim/adam.h"
#include "optim/adamp.h"
#include "optim/average.h"
#include "optim/clip.h"
#include "optim/sgd.h"
#include "optim/sgdp.h"

using namespace az;
using namespace az::optim;

namespace {

Tensor start() { return Tensor::of<double>({1, 3}, {0.3, 1.1, -0.4}).set_requires_grad(); }
std::vector<Parameter> named(const Tensor& w) { return {{"w", w}}; }

double squared(const Tensor& w) { return sum(w.detach() * w.detach()).item(); }

// The largest relative difference of ||w||^2 from what the rule says, over 100 steps on -<w, u>/||w||.
double largest_gap(
    Optimizer& optimizer, const Tensor& w, double beta, const std::function<double(int)>& lr,
    const std::function<void()>& clip = [] {}) {
  const Tensor u = Tensor::of<double>({1, 3}, {0, -0.6, 0.8});
  NormIdentity identity({.squared_norm = squared(w), .beta = beta});
  double gap = 0;
  for (int t = 0; t < 100; ++t) {
    optimizer.set_lr(lr(t));
    optimizer.zero_grad();
    (-sum(w * u) / sqrt(sum(w * w))).backward();
    clip();
    const Tensor before = w.detach().clone();
    optimizer.step();
    identity.add({.squared_length = squared(w - before), .lr = lr(t)});
    gap = std::max(gap, std::abs(identity.squared_norm() / squared(w) - 1));
  }
  return gap;
}

// A stranger's.
struct Descent : Optimizer {
  explicit Descent(const Tensor& w, std::vector<GroupOptions> groups = {}, bool knows = true)
      : Optimizer("descent", named(w), 0.1, 0, groups, {}), knows_(knows) {}
  UpdateInfo update(Parameter& p, const Tensor& gradient, const Group& group, ParameterState&) override {
    p.tensor.detach().add_(gradient, -group.lr);
    return {};
  }
  std::optional<NormRule> own_norm_rule() const override {
    return knows_ ? std::optional(NormRule{0, "plain steps"}) : std::nullopt;
  }
  bool knows_;
};

}  // namespace

TEST_CASE("where an optimizer says that norms follow from its steps, they do, at rates that change too") {
  const auto constant = [](int) { return 0.05; };
  const auto changing = [](int t) { return 0.05 * (1 + 0.5 * std::sin(t)); };
  for (const auto& lr : {std::function<double(int)>(constant), std::function<double(int)>(changing)}) {
    for (double momentum : {0.0, 0.5, 0.9}) {
      for (double dampening : {0.0, 0.3}) {
        const Tensor w = start();
        Sgd sgd(named(w), {.lr = 1, .momentum = momentum, .dampening = dampening});
        const NormRule rule = sgd.norm_rule();
        REQUIRE(rule.beta == momentum);
        CHECK(largest_gap(sgd, w, *rule.beta, lr) < 1e-12);
      }
    }
    for (bool nesterov : {false, true}) {
      for (const char* projection : {"channel", "layer"}) {
        const Tensor w = start(), v = start();
        Sgdp sgdp(named(w), {.lr = 1, .momentum = 0.9, .nesterov = nesterov, .eps = 1e-16, .projection = projection});
        Adamp adamp(named(v), {.lr = 1, .eps = 1e-16, .nesterov = nesterov, .projection = projection});
        REQUIRE(sgdp.norm_rule().beta == 0.0);
        REQUIRE(adamp.norm_rule().beta == 0.0);
        CHECK(largest_gap(sgdp, w, 0, lr) < 1e-12);
        CHECK(largest_gap(adamp, v, 0, lr) < 1e-12);
      }
    }
  }
  const Tensor w = start();
  Sgd sgd(named(w), {.lr = 1, .momentum = 0.9});
  CHECK(largest_gap(sgd, w, 0.8, constant) > 1e-3);
}

TEST_CASE("where norms do not follow from the steps, the optimizer says why") {
  const auto words = [](const Optimizer& optimizer) {
    CHECK_FALSE(optimizer.norm_rule().beta);
    return optimizer.norm_rule().words;
  };
  const Tensor w = start();
  CHECK(words(Adam(named(w), {})) == "no prediction: the identity is of momentum, and this is adam");
  CHECK(words(AdamW(named(w), {})) == "no prediction: the identity is of momentum, and this is adamw");
  CHECK(words(Descent(w, {}, false)) == "no prediction: the identity is of momentum, and this is descent");
  CHECK(words(Sgd(named(w), {.lr = 1, .momentum = 0.9, .nesterov = true})) ==
        "no prediction: the identity is of plain momentum, and this is Nesterov's");
  CHECK(words(Sgdp(named(w), {.lr = 1, .projection = "never"})) == "no prediction, as projection is \"never\"");
  CHECK(words(Adamp(named(w), {.projection = "never"})) == "no prediction, as projection is \"never\"");
  const std::string held = "no prediction: the identity is of steps without weight decay, trust ratios or renormalizing";
  CHECK(words(Sgd(named(w), {.lr = 1, .weight_decay = 1e-4})) == held);
  CHECK(words(Adamp(named(w), {.weight_decay = 1e-4})) == held);
  for (const GroupOptions& group :
       {GroupOptions{.pattern = "w", .weight_decay = 0.1}, GroupOptions{.dims = 2, .trust_ratio = 0.1},
        GroupOptions{.pattern = "*", .renormalize_every = 3}}) {
    CHECK(words(Sgdp(named(w), {.lr = 1, .groups = {group}})) == held);
    CHECK(words(Descent(w, {group})) == held);  // whatever it says itself
  }
  // A decay that no parameter has does not count.
  CHECK(Sgd(named(w), {.lr = 1, .weight_decay = 0.1, .groups = {{.pattern = "*", .weight_decay = 0}}}).norm_rule().beta == 0.0);
  CHECK(Descent(w).norm_rule().words == "plain steps");
}

TEST_CASE("the rule holds of gradients whose norm is clipped; of ones clipped by value only where steps are projected") {
  const auto lr = [](int) { return 0.05; };
  const auto gap_of = [&](const auto& make, const auto& clip) {
    const Tensor w = start();
    auto optimizer = make(w);
    return largest_gap(optimizer, w, *optimizer.norm_rule().beta, lr, [&] { clip(optimizer.parameters()); });
  };
  const auto by_norm = [](const auto& parameters) { clip_grad_norm(parameters, 0.1); };
  const auto by_value = [](const auto& parameters) { clip_grad_value(parameters, 0.1); };
  const auto sgd = [](const Tensor& w) { return Sgd(named(w), {.lr = 1, .momentum = 0.9}); };
  const auto sgdp = [](const Tensor& w) {
    return Sgdp(named(w), {.lr = 1, .momentum = 0.9, .eps = 1e-16, .projection = "layer"});
  };
  CHECK(gap_of(sgd, by_norm) < 1e-12);
  CHECK(gap_of(sgd, by_value) > 1e-3);
  CHECK(gap_of(sgdp, by_value) < 1e-12);
  const Tensor w = start();
  CHECK_FALSE(norm_rule(sgd(w), {.clips_values = true}).beta);
  CHECK(norm_rule(sgd(w), {.clips_values = true}).words ==
        "no prediction: a gradient that is clipped by value is not orthogonal to the weight");
  CHECK(norm_rule(Descent(w), {.clips_values = true}).words == norm_rule(sgd(w), {.clips_values = true}).words);
  CHECK(norm_rule(sgdp(w), {.clips_values = true}).beta == 0);
  CHECK(norm_rule(Adam(named(w), {}), {.clips_values = true}).words == Adam(named(w), {}).norm_rule().words);
}

TEST_CASE("an average beside the weights leaves the rule, and one that they go on from does not") {
  const Tensor w = start();
  const Sgd sgd(named(w), {.lr = 1, .momentum = 0.9});
  const WeightAverage ema(EmaOptions{}, {{"w", w}}), lookahead(LookaheadOptions{}, {{"w", w}});
  CHECK(norm_rule(sgd, {}).beta == 0.9);
  CHECK(norm_rule(sgd, {.average = &ema}).beta == 0.9);
  CHECK_FALSE(norm_rule(sgd, {.average = &lookahead}).beta);
  CHECK(norm_rule(sgd, {.average = &lookahead}).words == "no prediction, as lookahead moves the weights after a step");
  CHECK(norm_rule(Adam(named(w), {}), {.average = &lookahead}).words ==
        "no prediction: the identity is of momentum, and this is adam");
}

TEST_CASE("where groups name other optimizers, the rule is told if all have one, by the decay that the groups leave") {
  const Tensor w = start(), bias = Tensor::of<double>({2}, {1, 2}).set_requires_grad();
  const auto rule = [&](const config::Component<OptimizerRegistry>& other, std::optional<double> decay = {}) {
    const std::vector<GroupOptions> groups{{.dims = 2, .weight_decay = decay, .optimizer = other}};
    return Sgd({{"w", w}, {"bias", bias}}, {.lr = 0.5, .momentum = 0.75, .groups = groups}).norm_rule();
  };
  CHECK(rule(SgdOptions{.lr = 0.1, .momentum = 0.75}).beta == 0.75);
  CHECK(rule(AdamOptions{}).words == "no prediction: one is of all weights, and adam moves some in its own way");
  const std::string apart = "no prediction: one is of all weights, and sgd moves some in its own way";
  for (const SgdOptions& other :
       {SgdOptions{.lr = 0.1, .momentum = 0.5}, SgdOptions{.lr = 0.1, .momentum = 0.75, .nesterov = true}}) {
    CHECK_FALSE(rule(other).beta);
    CHECK(rule(other).words == apart);
  }
  const std::string held = "no prediction: the identity is of steps without weight decay, trust ratios or renormalizing";
  const SgdOptions decaying{.lr = 0.1, .momentum = 0.75, .weight_decay = 0.1};
  CHECK_FALSE(rule(decaying).beta);
  CHECK(rule(decaying).words == held);
  CHECK(rule(decaying, 0).beta == 0.75);
  CHECK(rule(SgdOptions{.lr = 0.1, .momentum = 0.75}, 0.1).words == held);
}
