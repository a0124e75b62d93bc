// Networks of which it is known what the length of each weight is to the loss, before all three judges.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>

#include "core/autograd/autograd.h"
#include "core/base/random.h"
#include "core/config/json_document.h"
#include "core/ops/activations.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/tensor/create.h"
#include "experiments/invariance/scorecard.h"
#include "nn/builtin.h"
#include "tests/compare.h"

using namespace az;
using namespace az::experiments;
using optim::View;
using test::has;

namespace {

// Layers of one's own: an op that says nothing of its scaling, by itself and as a norm, and norms made of known ops.
struct Own : nn::Layer<Own> {
  using Function = Tensor (*)(const Tensor&);
  explicit Own(Function f) : function(f) {}
  Tensor forward(const Tensor& x) override { return function(x); }
  Function function;
};

Tensor silent(const Tensor& x, const char* name, const std::function<Tensor(const Tensor&)>& f) {
  Tensor value;
  {
    NoGrad no_grad;
    value = f(x);
  }
  return record(name, value, {x}, saved(x), ByKernel{[f](const Back& k) {
                  GradMode recording(true);
                  const Tensor leaf = k.saved[0].detach().set_requires_grad();
                  return Grads{grad(f(leaf), {leaf}, {.gradient = k.g})[0]};
                }});
}

Tensor softsign(const Tensor& x) {
  return silent(x, "softsign", [](const Tensor& t) { return t / (abs(t) + 1.0); });
}
Tensor rms_norm(const Tensor& x) { return x / sqrt(mean(x * x, {{1, 2, 3}, true}) + 1e-6); }
Tensor silent_rms(const Tensor& x) { return silent(x, "silent_rms", rms_norm); }
Tensor own_batch_norm(const Tensor& x) {
  const Tensor centred = x - mean(x, {{0, 2, 3}, true});
  return centred * pow(mean(centred * centred, {{0, 2, 3}, true}) + 1e-6, -0.5);
}

// What no graph records: which elements pass, and a gate's opening.
Tensor threshold(const Tensor& x) { return where(greater(x, full({}, 0.5)), x, zeros({})); }
Tensor detached_gate(const Tensor& x) { return x * sigmoid(x.detach()); }

// Has a weight that it makes no use of.
struct Unused : nn::Layer<Unused> {
  Unused() { add_parameter("weight", ones({2, 2})); }
  Tensor forward(const Tensor& x) override { return x; }
};

struct Nothing {
  static void fields(auto&) {}
};

void register_own_layers() {
  static std::once_flag once;
  std::call_once(once, [] {
    nn::register_builtin_models();
    nn::LayerRegistry::add<Nothing>("unused", "of a test",
                                    [](const Nothing&, const Shape&) { return std::make_unique<Unused>(); });
    const std::map<std::string, Own::Function> layers = {{"softsign", softsign},     {"rms_norm", rms_norm},
                                                         {"silent_rms", silent_rms}, {"own_batch_norm", own_batch_norm},
                                                         {"threshold", threshold},   {"detached_gate", detached_gate}};
    for (const auto& [name, function] : layers) {
      nn::LayerRegistry::add<Nothing>(name, "of a test",
                                      [f = function](const Nothing&, const Shape&) { return std::make_unique<Own>(f); });
    }
  });
}

const Shape image{1, 3, 6, 6};

// Its shifts and scales are drawn, so that no bias happens to be zero.
nn::ModulePtr network(const std::string& layers) {
  register_own_layers();
  seed_random(4);
  const std::string json = R"({"type": "network", "layers": [)" + layers + "]}";
  nn::ModulePtr model =
      config::parse<config::Component<nn::ModelRegistry>>(config::parse_text(json, "net.json")).create(image, 4);
  NoGrad no_grad;
  for (const Parameter& p : model->parameters()) {
    if (p.tensor.rank() == 1) p.tensor.copy_(p.tensor + randn(p.tensor.shape()) * 0.3);
  }
  return model;
}

std::vector<data::Batch> batches(int count = 12) {
  Philox generator(9);
  std::vector<data::Batch> all;
  for (int i = 0; i < count; ++i) {
    std::vector<int64_t> labels;
    for (int k = 0; k < 24; ++k) labels.push_back(generator.integer(4));
    all.push_back({randn({24, 3, 6, 6}, generator), Tensor::of<int64_t>({24}, labels)});
  }
  return all;
}

std::map<std::string, Judged> judged(const std::string& layers) {
  std::map<std::string, Judged> all;
  for (Judged& one : judge_invariance(*network(layers), batches())) all.emplace(one.name, one);
  return all;
}

using Truth = std::map<std::string, View>;

// Holds every judge to the truth, parameter by parameter.
void check(const std::string& layers, const Truth& truth) {
  CAPTURE(layers);
  const auto found = judged(layers);
  Truth verdicts;
  for (const auto& [name, one] : found) {
    CAPTURE(name);
    CAPTURE(words(one));
    verdicts[name] = one.verdict();
    REQUIRE(truth.count(name));
    CHECK(one.structure() == truth.at(name));
    CHECK(one.numbers() == truth.at(name));
    if (truth.at(name) != View::none) CHECK((one.channel_change() < 1e-3 * one.loss) == (truth.at(name) == View::channel));
    // A row of one element has a cosine of 1, and a gradient of rounding has any.
    if (!one.cosine() || (one.shape.numel() == one.shape[0] && truth.at(name) == View::channel)) continue;
    const bool by_channel = truth.at(name) == View::channel, by_layer = truth.at(name) != View::none;
    CHECK((one.channel_hit_rate > 0.9) == by_channel);
    CHECK((one.layer_hit_rate > 0.9) == by_layer);
  }
  CHECK(verdicts == truth);
}

const std::string classifier = R"(, {"type": "global_avg_pool"}, {"type": "linear", "out_features": 4})";
constexpr View none = View::none, layer = View::layer, channel = View::channel;

}  // namespace

TEST_CASE("Batch norm takes out the length of each channel, and a bias before it makes no difference") {
  check(
      R"({"type": "conv2d", "out_channels": 8, "bias": true}, {"type": "batch_norm"}, {"type": "relu"})" + classifier,
      {{"0.weight", channel}, {"0.bias", channel}, {"1.weight", none}, {"1.bias", none}, {"4.weight", none}, {"4.bias", none}});
}

TEST_CASE("Group norm takes out a length of channels together, or each where they are alone; a bias before it counts") {
  const auto net = [](int groups, bool bias) {
    return fmt::format(
               R"({{"type": "conv2d", "out_channels": 8, "bias": {}}}, {{"type": "group_norm", "groups": {}}}, {{"type": "relu"}})",
               bias, groups) +
           classifier;
  };
  const Truth rest = {{"1.weight", none}, {"1.bias", none}, {"4.weight", none}, {"4.bias", none}};
  const auto with = [&](Truth truth) {
    truth.insert(rest.begin(), rest.end());
    return truth;
  };
  check(net(2, false), with({{"0.weight", layer}}));
  check(net(8, false), with({{"0.weight", channel}}));
  check(net(2, true), with({{"0.weight", none}, {"0.bias", none}}));
}

TEST_CASE("Layer norm behind a linear layer") {
  check(R"({"type": "flatten"}, {"type": "linear", "out_features": 12, "bias": false}, {"type": "layer_norm"}, {"type": "relu"},
           {"type": "linear", "out_features": 4})",
        {{"1.weight", layer}, {"2.weight", none}, {"2.bias", none}, {"4.weight", none}, {"4.bias", none}});
}

TEST_CASE("Weight norm and cosines make invariance by themselves") {
  check(
      R"({"type": "weight_norm", "layer": {"type": "conv2d", "out_channels": 8, "bias": false}}, {"type": "relu"}, {"type": "global_avg_pool"},
           {"type": "cosine_linear", "out_features": 4})",
      {{"0.weight_g", layer}, {"0.weight_v", channel}, {"3.weight", channel}, {"3.scale", none}});
  check(
      R"({"type": "weight_norm", "layer": {"type": "conv2d", "out_channels": 8, "bias": false}}, {"type": "batch_norm"}, {"type": "relu"})" +
          classifier,
      {{"0.weight_g", channel},
       {"0.weight_v", channel},
       {"1.weight", none},
       {"1.bias", none},
       {"4.weight", none},
       {"4.bias", none}});
}

TEST_CASE("A shortcut around a convolution, in front of the norm, brings its length back") {
  const std::string norm = R"({"type": "batch_norm"})",
                    conv = R"({"type": "conv2d", "out_channels": 3, "padding": 1, "bias": false})";
  check(R"({"type": "residual", "body": [)" + conv + R"(], "activation": "none"}, )" + norm + classifier,
        {{"0.body.0.weight", none}, {"1.weight", none}, {"1.bias", none}, {"3.weight", none}, {"3.bias", none}});
  check(
      R"({"type": "residual", "body": [)" + conv + ", " + norm + R"(], "activation": "relu"})" + classifier,
      {{"0.body.0.weight", channel}, {"0.body.1.weight", none}, {"0.body.1.bias", none}, {"2.weight", none}, {"2.bias", none}});
}

TEST_CASE("What passes lengths on: ReLU, pooling, dropout and another convolution, which mixes channels") {
  check(
      R"({"type": "conv2d", "out_channels": 8, "padding": 1, "bias": false}, {"type": "leaky_relu"}, {"type": "max_pool2d", "kernel": 2},
           {"type": "dropout"}, {"type": "conv2d", "out_channels": 8, "bias": false}, {"type": "batch_norm"}, {"type": "relu"})" +
          classifier,
      {{"0.weight", layer}, {"4.weight", channel}, {"5.weight", none}, {"5.bias", none}, {"8.weight", none}, {"8.bias", none}});
  check(
      R"({"type": "conv2d", "out_channels": 8, "bias": false}, {"type": "tanh"}, {"type": "conv2d", "out_channels": 8, "bias": false},
           {"type": "batch_norm"}, {"type": "relu"})" +
          classifier,
      {{"0.weight", none}, {"2.weight", channel}, {"3.weight", none}, {"3.bias", none}, {"6.weight", none}, {"6.bias", none}});
}

TEST_CASE("A bias that channels are mixed after, or borders padded, is none that a norm takes out") {
  check(R"({"type": "conv2d", "out_channels": 1, "bias": true}, {"type": "conv2d", "out_channels": 8, "bias": false},
           {"type": "group_norm", "groups": 1}, {"type": "relu"})" +
            classifier,
        {{"0.weight", none},
         {"0.bias", none},
         {"1.weight", layer},
         {"2.weight", none},
         {"2.bias", none},
         {"5.weight", none},
         {"5.bias", none}});
  check(R"({"type": "conv2d", "out_channels": 8, "bias": true},
           {"type": "conv2d", "out_channels": 8, "groups": 8, "padding": 1, "bias": false}, {"type": "batch_norm"}, {"type": "relu"})" +
            classifier,
        {{"0.weight", none},
         {"0.bias", none},
         {"1.weight", channel},
         {"2.weight", none},
         {"2.bias", none},
         {"5.weight", none},
         {"5.bias", none}});
}

TEST_CASE("Norms of one's own, made of ops that are known") {
  const std::string conv = R"({"type": "conv2d", "out_channels": 8, "bias": false}, )", relu = R"(, {"type": "relu"})";
  check(conv + R"({"type": "own_batch_norm"})" + relu + classifier,
        {{"0.weight", channel}, {"4.weight", none}, {"4.bias", none}});
  check(conv + R"({"type": "rms_norm"})" + relu + classifier, {{"0.weight", layer}, {"4.weight", none}, {"4.bias", none}});
}

TEST_CASE("Of an op that does not say how it scales, the numbers decide") {
  const std::string conv = R"({"type": "conv2d", "out_channels": 8, "bias": false})";
  const auto squashed = judged(conv + R"(, {"type": "softsign"})" + classifier).at("0.weight");
  CHECK_FALSE(squashed.structure());
  CHECK(squashed.verdict() == none);
  CHECK(has(words(squashed), "softsign in 1 does not say how it scales with its input, so numbers decide; they say none"));
  const auto normed = judged(conv + R"(, {"type": "silent_rms"})" + classifier).at("0.weight");
  CHECK_FALSE(normed.structure());
  CHECK(normed.verdict() == layer);
  CHECK(normed.layer_hit_rate > 0.9);
  // Behind a norm, it is no matter.
  const auto behind = judged(conv + R"(, {"type": "batch_norm"}, {"type": "softsign"})" + classifier).at("0.weight");
  CHECK(behind.structure() == channel);
}

TEST_CASE("What an eps leaves shrinks as 1/a^2, and with the eps") {
  const auto with_eps = [](const char* eps) {
    return judged(R"({"type": "conv2d", "out_channels": 8, "bias": false}, {"type": "batch_norm", "eps": )" + std::string(eps) +
                  R"(}, {"type": "relu"})" + classifier)
        .at("0.weight");
  };
  const Judged large = with_eps("1e-2"), small = with_eps("1e-3");
  REQUIRE(large.residue_order);
  CHECK(*large.residue_order == doctest::Approx(2).epsilon(0.1));
  CHECK(large.residue / small.residue == doctest::Approx(10).epsilon(0.1));
  CHECK(large.structure() == channel);
  CHECK(large.numbers() == none);  // a change of the loss by more than a thousandth
  CHECK(large.residue_is_of_eps);
  CHECK(large.verdict() == channel);
  CHECK(has(words(large), "as an eps does"));
}

TEST_CASE("Where the graph shows no dependence and the loss changes by more than an eps leaves, the numbers decide") {
  const std::string conv = R"({"type": "conv2d", "out_channels": 8, "bias": false}, )";
  for (const std::string between :
       {R"({"type": "threshold"}, {"type": "batch_norm"})", R"({"type": "detached_gate"}, {"type": "batch_norm"})",
        R"({"type": "batch_norm", "eps": 1.0})"}) {
    CAPTURE(between);
    const auto one = judged(conv + between + R"(, {"type": "relu"})" + classifier).at("0.weight");
    CAPTURE(words(one));
    CHECK(one.structure() == channel);
    CHECK(one.numbers() == none);
    CHECK_FALSE(one.residue_is_of_eps);
    CHECK(one.verdict() == none);
    CHECK(has(words(one), "takes out the length of each channel; but the loss changes by up to "));
    CHECK(has(words(one), "so numbers decide"));
  }
}

TEST_CASE("A bias that is zero hides that a length matters, which is said") {
  const nn::ModulePtr model =
      network(R"({"type": "conv2d", "out_channels": 8, "bias": false}, {"type": "batch_norm"}, {"type": "relu"},
    {"type": "conv2d", "out_channels": 8, "bias": false}, {"type": "batch_norm"}, {"type": "relu"})" +
              classifier);
  const Tensor beta = model->state().at("1.bias");
  {
    NoGrad no_grad;
    beta.fill_(0);
    model->state().at("1.weight").fill_(1);
  }
  for (const Judged& one : judge_invariance(*model, batches(2))) {
    CAPTURE(words(one));
    if (one.name == "1.weight") {
      CHECK(one.structure() == none);
      CHECK(one.numbers() == layer);
      CHECK(one.verdict() == none);
      CHECK(has(words(one), "numbers do not show it at these weights"));
    }
    if (one.name == "1.bias") {
      CHECK_FALSE(one.numbers());
      CHECK(has(words(one), "it is zero"));
    }
  }
}

TEST_CASE("A weight of zeros has no length, and one that nothing depends on no gradient, which is said") {
  const std::string conv = R"({"type": "conv2d", "out_channels": 8, "bias": false)", relu = R"(, {"type": "relu"})";
  const auto zero = judged(conv + R"(, "init": "zeros"}, {"type": "batch_norm"})" + relu + classifier).at("0.weight");
  CHECK(zero.structure() == channel);
  CHECK_FALSE(zero.numbers());
  CHECK(zero.verdict() == channel);
  CHECK(has(words(zero), "it is zero, so numbers cannot tell"));

  const nn::ModulePtr dead = network(conv + R"(}, {"type": "batch_norm"})" + relu + classifier);
  {
    NoGrad no_grad;
    dead->state().at("1.weight").fill_(0);
  }
  const Judged unheard = judge_invariance(*dead, batches(2)).at(0);
  CHECK(unheard.gradient_norm == 0);
  CHECK(has(words(unheard), "at these weights nothing depends on it: its gradient is zero"));

  const auto unused = judged(R"({"type": "unused"}, )" + conv + "}" + classifier).at("0.weight");
  CHECK(words(unused) == "The loss does not depend on it.");
}

TEST_CASE("Judging leaves the network, its statistics and the random numbers as they are") {
  const nn::ModulePtr model = network(
      R"({"type": "conv2d", "out_channels": 8, "bias": false}, {"type": "batch_norm"}, {"type": "dropout"})" + classifier);
  std::map<std::string, std::vector<double>> before;
  for (const auto& [name, tensor] : model->state()) before[name] = tensor.to_vector<double>();
  const RandomState random = random_state();
  model->eval();
  CHECK(judge_invariance(*model, batches(2)).at(0).numbers() == channel);  // as in training, nevertheless
  CHECK_FALSE(model->training());
  for (const auto& [name, tensor] : model->state()) CHECK(tensor.to_vector<double>() == before.at(name));
  CHECK(random_state().seed == random.seed);
  CHECK(random_state().draws == random.draws);
}
