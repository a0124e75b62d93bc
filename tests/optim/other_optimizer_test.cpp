// Groups that name another optimizer for some parameters: these move as under that optimizer alone.
#include <functional>

#include "core/base/threads.h"
#include "core/config/json_document.h"
#include "optim/adam.h"
#include "optim/builtin.h"
#include "optim/muon.h"
#include "optim/sgd.h"
#include "optim/sgdp.h"
#include "tests/compare.h"
#include "tests/optim/model.h"

using namespace az;
using namespace az::optim;
using test::error_of;
using test::has;

namespace {

using List = std::vector<Parameter>;

List parameters() {
  model::Random random{std::mt19937_64(11)};
  const auto leaf = [&](const Shape& shape) {
    model::Vector values(size_t(shape.numel()));
    for (double& x : values) x = random();
    return model::tensor<float>(shape, values).set_requires_grad();
  };
  return {{"conv.weight", leaf({6, 3, 3, 3})},
          {"norm.weight", leaf({6}), ParameterKind::norm},
          {"norm.bias", leaf({6}), ParameterKind::norm},
          {"head.weight", leaf({4, 6})},
          {"head.bias", leaf({4}), ParameterKind::bias}};
}

void set_gradients(const List& list, int seed) {
  for (const Parameter& parameter : list) {
    if (!parameter.tensor.requires_grad()) continue;
    // By its name, so that a part of the list gets what the whole does.
    model::Random random{std::mt19937_64(std::hash<std::string>()(parameter.name) + uint64_t(seed))};
    model::Vector values(size_t(parameter.tensor.numel()));
    for (double& x : values) x = random();
    parameter.tensor.set_grad(model::tensor<float>(parameter.tensor.shape(), values));
  }
}

using Values = std::map<std::string, std::vector<float>>;
Values values(const List& list) {
  Values all;
  for (const Parameter& parameter : list) all[parameter.name] = parameter.tensor.to_vector<float>();
  return all;
}
Values values(const std::map<std::string, Tensor>& state) {
  Values all;
  for (const auto& [name, tensor] : state) all[name] = tensor.to_vector<float>();
  return all;
}

config::Component<OptimizerRegistry> parsed(const std::string& text) {
  register_builtin_optimizers();
  return config::parse<config::Component<OptimizerRegistry>>(config::parse_text(text, "exp.json"), "optimizer");
}

void train(Optimizer& optimizer, int first, int last) {
  const double lr = optimizer.lr();
  for (int step = first; step < last; ++step) {
    optimizer.set_lr(lr / (1 << step));  // by powers of 2 rates are exact
    set_gradients(optimizer.parameters(), step);
    optimizer.step();
  }
  optimizer.set_lr(lr);
}

// Four steps at falling rates.
Values trained(const std::function<std::unique_ptr<Optimizer>(const List&)>& make) {
  const List list = parameters();
  train(*make(list), 0, 4);
  return values(list);
}
Values trained(const std::string& json) {
  return trained([&](const List& list) { return parsed(json).create(list); });
}

// The parameters that `chosen` says so end as under that optimizer, which is given them alone, the others as in `rest`.
Values mixed(Values rest, const std::vector<std::string>& chosen, const std::string& json) {
  List list;
  for (const Parameter& parameter : parameters()) {
    if (std::find(chosen.begin(), chosen.end(), parameter.name) != chosen.end()) list.push_back(parameter);
  }
  train(*parsed(json).create(list), 0, 4);
  for (const auto& [name, moved] : values(list)) rest.at(name) = moved;
  return rest;
}

const char* const sgd = R"({"type": "sgd", "lr": 0.5, "momentum": 0.75, "weight_decay": 0.01})";
const char* const adamw = R"({"type": "adamw", "lr": 0.003})";
const std::vector<std::string> norms{"norm.weight", "norm.bias"}, head{"head.weight", "head.bias"};

struct Watch : StepObserver {
  std::map<std::string, UpdateInfo> seen;
  void after(const Parameter& p, const Tensor&, const UpdateInfo& info) override { seen[p.name] = info; }
};

struct DriftOptions {
  double lr = 1, weight_decay = 0;
  std::vector<GroupOptions> groups = {};
  static void fields(auto& f) {
    f("lr", &DriftOptions::lr, "rate");
    f("weight_decay", &DriftOptions::weight_decay, "decay");
    f("groups", &DriftOptions::groups, "groups");
  }
};
// A stranger's.
struct Drift : Optimizer {
  Drift(List list, const DriftOptions& options) : Optimizer("drift", std::move(list), options, {"count", "before"}) {}
  std::vector<std::string> examine() const override { return {"lr: drifts"}; }
  UpdateInfo update(Parameter& p, const Tensor&, const Group& group, ParameterState& state) override {
    if (std::isnan(p.tensor.data<float>()[0])) fail("it is lost");
    p.tensor.detach().add_(Tensor::empty(p.tensor.shape()).fill_(-group.lr));
    state.tensors[0].fill_(double(state.step));
    state.tensors[1].fill_(double(steps()));
    return {};
  }
};
void register_drift() {
  static const bool once = [] {
    OptimizerRegistry::add<DriftOptions>("drift", "downwards", [](const DriftOptions& options, const List& list) {
      return std::unique_ptr<Optimizer>(std::make_unique<Drift>(list, options));
    });
    return true;
  }();
  CHECK(once);
}

}  // namespace

TEST_CASE(
    "Parameters of a group with an optimizer move bit for bit as under that optimizer, at the schedule's share of its rate") {
  const Values all_sgd = trained(sgd), all_adamw = trained(adamw);
  const std::string text = fmt::format(
      R"({{"type": "sgd", "lr": 0.5, "momentum": 0.75, "weight_decay": 0.01, "groups": [{{"kind": "norm", "optimizer": {}}}]}})",
      adamw);
  CHECK(trained(text) == mixed(all_sgd, norms, adamw));
  CHECK(trained(text) != all_sgd);
  const std::string other_way =
      fmt::format(R"({{"type": "adamw", "lr": 0.003, "groups": [{{"pattern": "head.*", "optimizer": {}}}]}})", sgd);
  CHECK(trained(other_way) == mixed(all_adamw, head, sgd));
  // What is written in C++ is the same.
  const Values in_code = trained([](const List& list) {
    return std::make_unique<AdamW>(
        list, AdamWOptions{.lr = 0.003,
                           .groups = {{.pattern = "head.*",
                                       .optimizer = SgdOptions{.lr = 0.5, .momentum = 0.75, .weight_decay = 0.01}}}});
  });
  CHECK(in_code == trained(other_way));
  // Muon with the rest by two others, as its author has it.
  const std::string three = fmt::format(
      R"({{"type": "muon", "lr": 0.25, "groups": [{{"kind": "norm", "optimizer": {}}}, {{"pattern": "head.*", "optimizer": {}}}]}})",
      sgd, adamw);
  const std::string bare = R"({"type": "muon", "lr": 0.25, "groups": [{"dims": 1, "frozen": true}]})";
  CHECK(trained(three) == mixed(mixed(trained(bare), norms, sgd), head, adamw));
}

TEST_CASE(
    "An optimizer in a group brings rate and decay; what groups say then or later counts, frozen and norm control always do") {
  const auto with = [](const std::string& groups) {
    return trained(
        fmt::format(R"({{"type": "sgd", "lr": 0.5, "momentum": 0.75, "weight_decay": 0.01, "groups": [{}]}})", groups));
  };
  const auto given = [](const std::string& beside) {
    return fmt::format(R"({{"kind": "norm", "optimizer": {{"type": "adamw", "lr": 0.003}}{}}})", beside);
  };
  const auto alone = [](const std::string& options, const std::string& groups = "") {
    return mixed(trained(sgd), norms, fmt::format(R"({{"type": "adamw", {}, "groups": [{}]}})", options, groups));
  };
  const Values plain = alone(R"("lr": 0.003)");
  CHECK(with(given("")) == plain);
  // Before it: not of the optimizer's.
  CHECK(with(R"({"kind": "norm", "weight_decay": 0.5, "lr_factor": 4}, )" + given("")) == plain);
  // There and after it.
  const Values changed = alone(R"("lr": 0.003, "weight_decay": 0.5)", R"({"dims": 1, "lr_factor": 4})");
  CHECK(changed != plain);
  CHECK(with(given(R"(, "weight_decay": 0.5, "lr_factor": 4)")) == changed);
  CHECK(with(given("") + R"(, {"kind": "norm", "weight_decay": 0.5, "lr_factor": 4})") == changed);
  CHECK(with(given(R"(, "weight_decay": 7)") + R"(, {"kind": "norm", "weight_decay": 0.5, "lr_factor": 4})") == changed);
  // The last that names one counts.
  CHECK(with(R"({"dims": 1, "optimizer": {"type": "adam", "lr": 7}}, )" + given("")).at("norm.bias") == plain.at("norm.bias"));
  for (const char* control : {R"("trust_ratio": 0.5)", R"("renormalize_every": 2)"}) {
    const Values held = alone(R"("lr": 0.003)", fmt::format(R"({{"dims": 1, {}}})", control));
    CHECK(held != plain);
    CHECK(with(given(fmt::format(", {}", control))) == held);
    CHECK(with(fmt::format(R"({{"kind": "norm", {}}}, )", control) + given("")) == held);
  }
  Values frozen = plain;
  frozen.at("norm.bias") = values(parameters()).at("norm.bias");
  const std::string freeze = R"({"pattern": "norm.bias", "frozen": true})";
  CHECK(with(given("") + ", " + freeze) == frozen);
  CHECK(with(freeze + ", " + given("")) == frozen);
}

TEST_CASE("A frozen parameter of an optimizer in a group is moved by that one once it is thawed, with its slots") {
  const GroupOptions given{.dims = 1, .optimizer = AdamWOptions{.lr = 0.003}}, stays{.pattern = "*.bias", .frozen = true};
  const Values adamw_alone = mixed(trained(sgd), {"norm.weight", "norm.bias", "head.bias"}, adamw);
  for (const auto& groups : {std::vector{given, stays}, std::vector{stays, given}}) {
    const List list = parameters();
    Sgd optimizer(list, {.lr = 0.5, .momentum = 0.75, .groups = groups});
    CHECK_FALSE(list[2].tensor.requires_grad());
    for (const Parameter& parameter : list) parameter.tensor.set_requires_grad(true);
    train(optimizer, 0, 4);
    const Values ends = values(list);
    for (const char* name : {"norm.weight", "norm.bias", "head.bias"}) CHECK(ends.at(name) == adamw_alone.at(name));
    CHECK(optimizer.state().contains("exp_avg_sq/norm.bias"));
    CHECK_FALSE(optimizer.state().contains("momentum/norm.bias"));
  }
}

TEST_CASE(
    "The state of all parameters is one, by their names; loaded, it continues bit for bit, and what does not fit changes nothing") {
  const std::string text = fmt::format(
      R"({{"type": "muon", "lr": 0.25, "groups": [{{"kind": "norm", "optimizer": {}}}, {{"pattern": "head.*", "optimizer": {}}}]}})",
      sgd, adamw);
  const List list = parameters();
  const auto whole = parsed(text).create(list);
  train(*whole, 0, 3);
  const auto state = whole->state();
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state) names.push_back(name);
  CHECK(names == std::vector<std::string>{"exp_avg/head.bias", "exp_avg/head.weight", "exp_avg_sq/head.bias",
                                          "exp_avg_sq/head.weight", "momentum/conv.weight", "momentum/norm.bias",
                                          "momentum/norm.weight", "steps", "steps/conv.weight", "steps/head.bias",
                                          "steps/head.weight", "steps/norm.bias", "steps/norm.weight"});
  List copy = list;
  for (Parameter& p : copy) p.tensor = p.tensor.detach().clone().set_requires_grad();
  const auto resumed = parsed(text).create(copy);
  resumed->load_state(state);
  CHECK(resumed->steps() == 3);
  train(*whole, 3, 6), train(*resumed, 3, 6);
  CHECK(values(list) == values(copy));
  CHECK(values(whole->state()) == values(resumed->state()));

  const std::string swapped = fmt::format(
      R"({{"type": "muon", "lr": 0.25, "groups": [{{"kind": "norm", "optimizer": {}}}, {{"pattern": "head.*", "optimizer": {}}}]}})",
      adamw, sgd);
  const Values before = values(resumed->state());
  const auto refusal = [&](const std::string& other) {
    const List strangers = parameters();
    const auto stranger = parsed(other).create(strangers);
    train(*stranger, 0, 2);
    return error_of([&] { resumed->load_state(stranger->state()); });
  };
  CHECK(refusal(swapped) == "muon: the saved state has no \"momentum/norm.weight\"; it is of another model or optimizer");
  CHECK(refusal(adamw) == "muon: the saved state has no \"momentum/conv.weight\"; it is of another model or optimizer");
  CHECK(refusal(R"({"type": "sgd", "lr": 0.1})") ==
        "muon: the saved state has no \"momentum/conv.weight\"; it is of another model or optimizer");
  CHECK(values(resumed->state()) == before);
}

TEST_CASE("Who watches a step sees for each parameter what the optimizer says that moves it") {
  const List list = parameters();
  Sgd optimizer(list,
                {.lr = 0.5,
                 .momentum = 0.75,
                 .weight_decay = 0.125,
                 .groups = {{.kind = "norm", .lr_factor = 2, .optimizer = AdamWOptions{.lr = 0.01, .weight_decay = 0.25}}}});
  Watch watch;
  optimizer.set_lr(0.125);
  set_gradients(list, 1);
  optimizer.step(&watch);
  const UpdateInfo &conv = watch.seen.at("conv.weight"), &norm = watch.seen.at("norm.weight");
  CHECK(conv.lr == 0.125);
  CHECK(conv.effective.norm_power == 2);
  CHECK(conv.weight_decay == 0.125);
  CHECK(norm.lr == 2 * 0.01 / 4);
  CHECK(norm.effective.rate == norm.lr);
  CHECK(norm.effective.norm_power == 1);
  CHECK(norm.weight_decay == 0.25);
  CHECK(norm.equilibrium_angle == doctest::Approx(std::sqrt(2 * norm.lr * 0.25 * 0.1 / 1.9)));
  REQUIRE(norm.state.size() == 2);
  CHECK(norm.state[1].first == "exp_avg_sq");
  CHECK(norm.state[1].second.same(optimizer.state().at("exp_avg_sq/norm.weight")));
  optimizer.set_lr(0);
  optimizer.step(&watch);
  CHECK(watch.seen.at("norm.weight").lr == 0);
  optimizer.set_lr(0.5);
  optimizer.step(&watch);
  CHECK(watch.seen.at("norm.weight").lr == 0.02);  // exactly
}

TEST_CASE("An optimizer of one's own may have others in its groups, and be one in another's") {
  register_drift();
  const List list = parameters();
  Drift outer(list, {.lr = 0.25, .groups = {{.dims = 1, .optimizer = SgdOptions{.lr = 0.5}}}});
  train(outer, 0, 4);
  const Values ends = values(list), plain = trained(R"({"type": "sgd", "lr": 0.5})");
  CHECK(ends.at("head.bias") == plain.at("head.bias"));
  CHECK(ends.at("head.weight")[0] == doctest::Approx(values(parameters()).at("head.weight")[0] - 0.25 * 1.875));
  CHECK(outer.examine_all() == std::vector<std::string>{"lr: drifts"});

  const List others = parameters();
  const std::string text = R"({"type": "sgd", "lr": 0.5, "groups": [
    {"pattern": "conv.*", "optimizer": {"type": "sgd", "lr": 1, "dampening": 0.5}},
    {"dims": 1, "optimizer": {"type": "drift", "lr": 0.25}}]})";
  const auto optimizer = parsed(text).create(others);
  train(*optimizer, 0, 4);
  CHECK(values(others).at("head.bias")[0] == doctest::Approx(values(parameters()).at("head.bias")[0] - 0.25 * 1.875));
  CHECK(optimizer->state().at("count/head.bias").to_vector<double>() == std::vector<double>(4, 4));
  // Its steps() is that of the one around it, in a state that is loaded too.
  CHECK(optimizer->state().at("before/head.bias").to_vector<double>() == std::vector<double>(4, 3));
  const auto resumed = parsed(text).create(parameters());
  resumed->load_state(optimizer->state());
  train(*resumed, 4, 5);
  CHECK(resumed->state().at("before/head.bias").to_vector<double>() == std::vector<double>(4, 4));
  CHECK(optimizer->examine_all() == std::vector<std::string>{"groups.0.optimizer.dampening: has no effect without momentum",
                                                             "groups.1.optimizer.lr: drifts"});
  others[4].tensor.detach().fill_(NAN);
  CHECK(error_of([&] { optimizer->step(); }) ==
        "exp.json:3:30: optimizer.groups.1.optimizer: drift: update of \"head.bias\": it is lost");
}

TEST_CASE("What is wrong about an optimizer in a group is told with its place and what to do, and nothing has changed") {
  const auto refusal = [](const std::string& groups) {
    const List list = parameters();
    const std::string text =
        error_of([&] { parsed(R"({"type": "sgd", "lr": 0.5, "groups": [)" + groups + "]}").create(list); });
    for (const Parameter& parameter : list) CHECK(parameter.tensor.requires_grad());
    return text;
  };
  CHECK(refusal(R"({"dims": 1, "optimizer": {"type": "adamw", "groups": [{"dims": 1, "frozen": true}]}})") ==
        "exp.json:1:64: optimizer.groups.0.optimizer: has groups of its own; write them behind this group, among the groups it "
        "belongs to");
  CHECK(refusal(R"({"pattern": "conv.*", "frozen": true}, {"dims": 1, "optimizer": {"type": "sgd"}})") ==
        "exp.json:1:103: optimizer.groups.1.optimizer.lr: required key is missing");
  CHECK(refusal(R"({"dims": 1, "optimizer": {"type": "adamww"}})")
            .starts_with(
                "exp.json:1:73: optimizer.groups.0.optimizer.type: unknown optimizer \"adamww\"; did you mean \"adamw\"?"));
  CHECK(
      refusal(R"({"dims": 1, "optimizer": {"type": "adamw", "momentum": 1}})")
          .starts_with("exp.json:1:82: optimizer.groups.0.optimizer.momentum: unknown key of \"adamw\"; it is an option of the "
                       "optimizers "));
  CHECK(
      refusal(R"({"dims": 1, "optimizer": {"type": "adamw"}}, {"dims": 1, "optimizer": {"type": "adam"}})") ==
      "exp.json:1:1: optimizer: groups[0]: its optimizer has nothing to move, as groups freeze all of it or give it to others; "
      "remove it");
  CHECK(has(refusal(R"({"dims": 1, "optimizer": {"type": "adamw"}, "frozen": true})"), "groups[0]: its optimizer has nothing"));
  CHECK(
      refusal(R"({"dims": 1, "frozen": true}, {"dims": 2, "optimizer": {"type": "muon", "lr": 1}},
                   {"pattern": "*.bias", "frozen": false, "optimizer": {"type": "muon", "lr": 1}})") ==
      "exp.json:2:72: optimizer.groups.2.optimizer: muon: \"norm.bias\" has 1 dimension, and muon moves matrices; name another "
      "optimizer for it in groups, as in {\"dims\": 1, \"optimizer\": {\"type\": \"sgd\", \"lr\": 0.1}}, or freeze it");
  const std::string nothing =
      "groups give all that they do not freeze to optimizers of their own, and leave this one nothing to move; put the optimizer "
      "of groups[{}] in its place and remove it from there";
  CHECK(refusal(R"({"pattern": "*", "optimizer": {"type": "adamw"}})") ==
        "exp.json:1:1: optimizer: " + fmt::format(fmt::runtime(nothing), 0));
  CHECK(has(refusal(R"({"kind": "weight", "frozen": true}, {"dims": 1, "optimizer": {"type": "adamw"}})"),
            fmt::format(fmt::runtime(nothing), 1)));
  CHECK(has(refusal(R"({"kind": "weight", "lr_factor": 0}, {"dims": 1, "optimizer": {"type": "adamw"}})"),
            fmt::format(fmt::runtime(nothing), 1)));
  CHECK(has(
      refusal(R"({"dims": 1, "optimizer": {"type": "adamw"}}, {"dims": 1, "frozen": true}, {"kind": "weight", "frozen": true},
                       {"pattern": "*.bias", "frozen": false, "optimizer": {"type": "adam"}})"),
      "nothing to move"));
  // What is asked of Muon by the groups around it is wrong at its place.
  CHECK(
      refusal(R"({"dims": 4, "trust_ratio": 0.5, "optimizer": {"type": "muon", "lr": 1, "normalize": true}})") ==
      "exp.json:1:84: optimizer.groups.0.optimizer: muon: \"conv.weight\" has its norm set by normalize and by the trust_ratio "
      "of a group; leave one of them out");
  // In C++.
  const auto in_code = [](const GroupOptions& group) {
    return error_of([&] { Sgd(parameters(), {.lr = 1, .groups = {group}}); });
  };
  CHECK(in_code({.dims = 1, .optimizer = AdamOptions{.lr = -1}}) == "sgd.groups.0.optimizer.lr: must be more than 0, got -1.0");
  CHECK(in_code({.dims = 1, .optimizer = AdamOptions{.groups = {{.dims = 1, .frozen = true}}}})
            .starts_with("sgd.groups.0.optimizer: has groups of its own"));
  CHECK(in_code({.optimizer = AdamOptions{}}).starts_with("sgd.groups.0: selects by nothing"));
  CHECK(error_of([] { Drift(parameters(), {.lr = 0, .groups = {{.dims = 1, .optimizer = AdamOptions{}}}}); }) ==
        "drift: lr is 0, and the rate of an optimizer in a group keeps its proportion to it; give it one above 0");
}

TEST_CASE("A config with an optimizer in a group resolves to one that reads the same, is described, and differs by option") {
  const std::string text = fmt::format(R"({{"type": "muon", "lr": 0.25, "groups": [{{"dims": 1, "optimizer": {}}}]}})", sgd);
  const auto component = parsed(text);
  const config::Value resolved = component.to_value();
  CHECK(has(config::dump(resolved), R"("optimizer": {"type": "sgd", "lr": 0.5, "momentum": 0.75, "dampening": 0.0, )"));
  CHECK(parsed(config::dump(resolved, 2)).to_value() == resolved);
  CHECK(has(OptimizerRegistry::describe("muon"), "groups[].optimizer"));
  using Component = config::Component<OptimizerRegistry>;
  const auto changes = config::changes<Component>(component, parsed(std::string(text).replace(text.find("0.75"), 4, "0.5")));
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].path == "groups.0.optimizer.momentum");
  CHECK(has(config::dump(config::schema<Component>()), R"("optimizer": {"description": "moves these parameters instead)"));
}
