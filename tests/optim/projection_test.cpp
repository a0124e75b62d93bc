#include <limits>
#include <map>

#include "optim/adamp.h"
#include "optim/sgdp.h"
#include "tests/optim/model.h"

using namespace az;
using namespace az::optim;

namespace {

struct Seen : StepObserver {
  UpdateInfo info;
  Tensor before_gradient;
  void before(const Parameter&, const Tensor& gradient) override { before_gradient = gradient; }
  void after(const Parameter&, const Tensor&, const UpdateInfo& what) override { info = what; }
};

struct Result {
  UpdateInfo info;
  std::vector<double> weight;
};

// One SGDP step (lr 1, decay 0.5, no momentum) in f64.
Result step(const Shape& shape, const std::vector<double>& weight, const std::vector<double>& gradient) {
  const Tensor w = Tensor::of<double>(shape, weight).set_requires_grad();
  w.set_grad(Tensor::of<double>(shape, gradient));
  Sgdp optimizer({{"w", w}}, {.lr = 1, .weight_decay = 0.5});
  Seen seen;
  optimizer.step(&seen);
  CHECK(seen.before_gradient.same(w.grad()));
  return {seen.info, w.to_vector<double>()};
}

}  // namespace

TEST_CASE("A zero gradient has cosine 0: projected, with the reduced decay") {
  const Result result = step({2, 2}, {1, 2, 3, 4}, {0, 0, 0, 0});
  CHECK(result.info.view == View::channel);
  CHECK(result.info.channel_cosine == 0);
  CHECK(result.info.decay_ratio == 0.1);
  CHECK(model::distance(result.weight, {0.95, 1.9, 2.85, 3.8}) < 1e-15);
}

TEST_CASE("Rows of one number have |cos| 1, so only the layer view can fire, unless all are 0 or below eps") {
  Result result = step({2, 1}, {1, 1}, {1, -1});
  CHECK(result.info.channel_cosine == doctest::Approx(1));
  CHECK(result.info.layer_cosine == doctest::Approx(0));
  CHECK(result.info.view == View::layer);
  CHECK(model::distance(result.weight, {-0.05, 1.95}) < 1e-12);
  result = step({2, 1}, {1, 1}, {1, 1});
  CHECK(result.info.view == View::none);
  CHECK(result.info.layer_cosine == doctest::Approx(1));
  CHECK(model::distance(result.weight, {-0.5, -0.5}) < 1e-12);
  for (double gradient : {0.0, 1e-10}) {
    result = step({2, 1}, {1, 1}, {gradient, -gradient});
    CHECK(result.info.channel_cosine == doctest::Approx(gradient / 1e-8));
    CHECK(result.info.view == View::channel);
    CHECK(result.info.decay_ratio == 0.1);
  }
  result = step({2, 1}, {1, 1}, {0, 1});
  CHECK(result.info.channel_cosine == doctest::Approx(1));
}

TEST_CASE("The cosines shown are the largest |cos(gradient, weight)| of a row") {
  // Rows (1,0).(0.6,0.8) and (0,2).(0.8,-0.6): cosines 0.6 and -0.6; all together (0.6 - 1.2) / (sqrt(5) sqrt(2)).
  const Result result = step({2, 2}, {1, 0, 0, 2}, {0.6, 0.8, 0.8, -0.6});
  CHECK(result.info.channel_cosine == doctest::Approx(0.6));
  CHECK(result.info.layer_cosine == doctest::Approx(0.6 / std::sqrt(10.0)));
  CHECK(result.info.view == View::none);
}

TEST_CASE("Parameters of fewer than two dimensions are never projected") {
  for (const Shape& shape : {Shape{2}, Shape{}}) {
    std::vector<double> weight(size_t(shape.numel()), 1), gradient(size_t(shape.numel()), 0);
    const Result result = step(shape, weight, gradient);
    CHECK(result.info.view == View::none);
    CHECK(std::isnan(result.info.channel_cosine));
    CHECK(result.weight[0] == 0.5);
  }
}

TEST_CASE("A NaN in any row keeps the projection from firing") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const std::vector<double>& gradient : {std::vector<double>{nan, 0, 0, 0}, {0, 0, 0, nan}}) {
    CHECK(step({2, 2}, {1, 2, 3, 4}, gradient).info.view == View::none);
  }
}

// torch.nn.functional.cosine_similarity(g, w, eps=1e-8) of PyTorch 1.13 gives these cosines; that of 2020 gave 0.06 in the
// first.
TEST_CASE("Each norm in the cosine is at least eps, as in the PyTorch of today") {
  struct Case {
    std::vector<double> weight, gradient;
    double cosine;
    View view;
  };
  for (const Case& c : {Case{{1e-4, 0}, {6e-6, 8e-6}, 0.6, View::none}, Case{{6e-6, 8e-6}, {1e-4, 0}, 0.6, View::none},
                        Case{{1, 0}, {6e-10, 8e-10}, 0.06, View::channel}, Case{{1e3, 0}, {6e-10, 8e-10}, 0.06, View::channel},
                        Case{{6e-10, 8e-10}, {1e3, 0}, 0.06, View::channel}, Case{{1, 0}, {1e-10, 0}, 0.01, View::channel},
                        Case{{0, 0}, {1, 0}, 0, View::channel}}) {
    CAPTURE(c.cosine);
    const Result result = step({1, 2}, c.weight, c.gradient);
    CHECK(result.info.channel_cosine == doctest::Approx(c.cosine).epsilon(1e-6));
    CHECK(result.info.layer_cosine == doctest::Approx(c.cosine).epsilon(1e-6));
    CHECK(result.info.view == c.view);
  }
}

TEST_CASE("project_momentum decides whether the stored momentum is projected, except with Nesterov") {
  for (bool nesterov : {false, true}) {
    for (bool project_momentum : {false, true}) {
      const Tensor w = Tensor::of<float>({1, 2}, {1, 0}).set_requires_grad();
      Sgdp optimizer({{"w", w}}, {.lr = 0.1, .momentum = 0.5, .nesterov = nesterov, .project_momentum = project_momentum});
      w.set_grad(Tensor::of<float>({1, 2}, {1, 0}));  // parallel: not projected, the momentum becomes (1, 0)
      optimizer.step();
      w.set_grad(Tensor::of<float>({1, 2}, {0, 1}));  // orthogonal: projected
      optimizer.step();
      const bool projected = project_momentum && !nesterov;
      CHECK(optimizer.state().at("momentum/w").to_vector<float>()[0] == doctest::Approx(projected ? 0 : 0.5));
      CHECK(optimizer.state().at("momentum/w").to_vector<float>()[1] == 1);
    }
  }
}

TEST_CASE("Where SGDP projects, the squared norm grows by lr^2 |projected move|^2 exactly") {
  model::Random random{std::mt19937_64(2)};
  model::Weight w{.name = "w", .shape = {4, 9}, .p = model::Vector(36)};
  for (double& x : w.p) x = random();
  const Tensor weight = model::tensor<double>(w.shape, w.p).set_requires_grad();
  Sgdp optimizer({{"w", weight}}, {.lr = 0.1, .momentum = 0.9});
  for (int i = 0; i < 10; ++i) {
    w.p = weight.to_vector<double>();
    weight.set_grad(model::tensor<double>(w.shape, model::gradient<double>(w, View::channel, 0.01, random)));
    optimizer.step();
    const auto after = weight.to_vector<double>(), move = optimizer.state().at("momentum/w").to_vector<double>();
    const double growth = model::dot(after, after, 0, 36) - model::dot(w.p, w.p, 0, 36);
    CHECK(growth == doctest::Approx(0.01 * model::dot(move, move, 0, 36)).epsilon(1e-7));
  }
}

// The authors' SGDP and AdamP refuse none of these.
TEST_CASE("what SGDP and AdamP say has no effect has none, and what they say it does") {
  const auto trained = [](auto make) {
    const Tensor w = Tensor::of<double>({2, 3}, {1, 2, 3, 4, 5, 6}).set_requires_grad();
    const auto optimizer = make(std::vector<Parameter>{{"w", w}});
    model::Random random;
    for (int i = 0; i < 5; ++i) {
      model::Vector gradient(6);
      for (double& x : gradient) x = random();
      w.set_grad(Tensor::of<double>({2, 3}, gradient));
      optimizer->step();
    }
    return std::pair{w.to_vector<double>(), optimizer->examine()};
  };
  const auto sgdp = [&](const SgdpOptions& options) {
    return trained([&](auto parameters) { return std::make_unique<Sgdp>(parameters, options); });
  };
  const auto adamp = [&](const AdampOptions& options) {
    return trained([&](auto parameters) { return std::make_unique<Adamp>(parameters, options); });
  };
  using Said = std::vector<std::string>;
  const auto plain = sgdp({.lr = 0.1}), fast = sgdp({.lr = 0.1, .momentum = 0.9, .nesterov = true});
  CHECK(plain.second == Said{});
  CHECK(sgdp({.lr = 0.1, .nesterov = true}) == std::pair{plain.first, Said{"nesterov: has no effect without momentum"}});
  CHECK(sgdp({.lr = 0.1, .dampening = 0.5, .nesterov = true}) ==
        std::pair{plain.first, Said{"nesterov: without momentum it only takes back the dampening"}});
  CHECK(sgdp({.lr = 0.2, .dampening = 0.5}) ==
        std::pair{plain.first, Said{"dampening: without momentum it only makes each move 0.5 as long"}});
  CHECK(sgdp({.lr = 0.1, .project_momentum = false}) ==
        std::pair{plain.first, Said{"project_momentum: has no effect without momentum"}});
  CHECK(sgdp({.lr = 0.1, .momentum = 0.9, .nesterov = true, .project_momentum = false}) ==
        std::pair{fast.first, Said{"project_momentum: has no effect with nesterov"}});
  CHECK(sgdp({.lr = 0.1, .delta = 9, .projection = "layer"}) ==
        std::pair{sgdp({.lr = 0.1, .projection = "layer"}).first, Said{"delta: means nothing, as projection is \"layer\""}});
  CHECK(adamp({.betas = {0, 0.9}, .nesterov = true}) ==
        std::pair{adamp({.betas = {0, 0.9}}).first, Said{"nesterov: has no effect where the first of the betas is 0"}});
  CHECK(adamp({.weight_decay = 0.1, .wd_ratio = 1, .projection = "never"}) ==
        std::pair{adamp({.weight_decay = 0.1, .projection = "never"}).first,
                  Said{"wd_ratio: means nothing, as projection is \"never\""}});
}
