// Optimizers of one's own: what is refused because it would lose state or go wrong in silence.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <stdexcept>

#include "core/base/error.h"
#include "core/config/json_document.h"
#include "core/ops/elementwise.h"
#include "core/tensor/create.h"
#include "optim/adam.h"
#include "optim/builtin.h"
#include "optim/rule.h"
#include "optim/sgd.h"
#include "optim/sgdp.h"
#include "tests/compare.h"

using namespace az;
using namespace az::optim;
using test::error_of;
using test::has;

namespace {

Parameter parameter(const std::string& name, const Shape& shape = {2, 3}) {
  return {name, randn(shape).set_requires_grad(), ParameterKind::weight};
}

Parameter with_gradient(const std::string& name) {
  const Parameter p = parameter(name);
  p.tensor.set_grad(randn(p.tensor.shape()));
  return p;
}

using Update = std::function<void(Parameter&, const Tensor& gradient)>;

// Moves by what a test gives.
struct Own : Optimizer {
  Own(std::vector<Parameter> list, std::vector<std::string> slots, Update f = {})
      : Optimizer("own", std::move(list), 0.1, 0, {}, std::move(slots)), update_(std::move(f)) {}
  UpdateInfo update(Parameter& p, const Tensor& gradient, const Group&, ParameterState&) override {
    if (update_) update_(p, gradient);
    return {};
  }
  Update update_;
};

std::string with_slots(const std::vector<std::string>& slots) {
  return error_of([&] { Own({parameter("w")}, slots); });
}

std::string stepping(const Update& update) {
  return error_of([&] { Own({with_gradient("fc.weight")}, {}, update).step(); });
}

// The example of optim/README.md: Lion, algorithm 2 of Chen et al. (arXiv:2302.06675).
struct LionRule {
  Coefficient eta, lambda, beta1, beta2;
  template <class T> T operator()(T w, T g, T& m) const {
    const T c = beta1 * m + (1 - beta1) * g;
    m = beta2 * m + (1 - beta2) * g;
    return eta * T((c > 0) - (c < 0)) + eta * lambda * w;
  }
};
struct Lion : Optimizer {
  explicit Lion(std::vector<Parameter> list) : Optimizer("lion", std::move(list), 0.1, 0.01, {}, {"m"}) {}
  UpdateInfo update(Parameter& p, const Tensor& gradient, const Group& group, ParameterState& state) override {
    const LionRule rule{.eta = group.lr, .lambda = group.weight_decay, .beta1 = 0.9, .beta2 = 0.99};
    return update_elements(rule, group, p.tensor, gradient, state.tensors[0]);
  }
};

// SGD without momentum, so without state, and projected.
struct ProjectedRule {
  Coefficient eta;
  void remember(auto) const {}
  auto direction(auto g) const { return g; }
  template <class T> T step(T, T d, T dot, T w_hat, Coefficient) const { return eta * (d - dot * w_hat); }
};
struct Projected : Optimizer {
  explicit Projected(std::vector<Parameter> list) : Optimizer("projected", std::move(list), 0.1, 0, {}, {}) {}
  UpdateInfo update(Parameter& p, const Tensor& gradient, const Group& group, ParameterState&) override {
    const ProjectionOptions options{.delta = 0.1, .wd_ratio = 1, .eps = 1e-8, .when = "channel"};
    return update_rows(ProjectedRule{group.lr}, options, group, p.tensor, gradient);
  }
};

struct NoOptions {
  static void fields(auto&) {}
};

}  // namespace

TEST_CASE("Slots of state: two alike, taken, empty or unfit names are refused at construction") {
  CHECK(with_slots({"momentum", "second"}) == "no error");
  CHECK(with_slots({"m", "v", "m"}) == "own: a slot cannot be called \"m\": the state has one of that name");
  CHECK(with_slots({"steps"}) == "own: a slot cannot be called \"steps\": the state has one of that name");
  CHECK(with_slots({"start_norm"}) == "own: a slot cannot be called \"start_norm\": the state has one of that name");
  CHECK(with_slots({""}) == "own: slot \"\" cannot be a name: it is empty");
  CHECK(with_slots({"a/b"}) == "own: slot \"a/b\" cannot be a name: it has a \"/\"");
  CHECK(with_slots({"m\n"}) == "own: slot \"m\\x0a\" cannot be a name: it has a control character");
  CHECK(with_slots({"\xff"}) == "own: slot \"\\xff\" cannot be a name: it is not UTF-8");
}

TEST_CASE("Parameters: unfit names, undefined tensors, and two that share one tensor are refused at construction") {
  const auto refusal = [](std::vector<Parameter> list) { return error_of([&] { Sgd(std::move(list), {.lr = 1}); }); };
  CHECK(refusal({parameter("")}) == "sgd: parameter \"\" cannot be a name: it is empty");
  CHECK(refusal({parameter("a\tb")}) == "sgd: parameter \"a\\x09b\" cannot be a name: it has a control character");
  CHECK(refusal({parameter("\xc0")}) == "sgd: parameter \"\\xc0\" cannot be a name: it is not UTF-8");
  CHECK(refusal({{"w", Tensor()}}) == "sgd: \"w\" is an undefined tensor");
  const Parameter w = parameter("w");
  CHECK(refusal({w, {"tied", w.tensor}}) == "sgd: \"w\" and \"tied\" are one tensor; list it once");
  CHECK(refusal({w, {"view", w.tensor.detach().reshape({6}).set_requires_grad()}}) ==
        "sgd: \"w\" and \"view\" are one tensor; list it once");
}

TEST_CASE("Rate, decay and groups that an optimizer of one's own hands over are finite, and none is negative") {
  struct Handing : Optimizer {
    Handing(double lr, double decay, const std::vector<GroupOptions>& groups)
        : Optimizer("own", {parameter("w")}, lr, decay, groups, {}) {}
    UpdateInfo update(Parameter&, const Tensor&, const Group&, ParameterState&) override { return {}; }
  };
  const auto handing = [](double lr, double decay, const std::vector<GroupOptions>& groups = {}) {
    return error_of([&] { Handing(lr, decay, groups); });
  };
  CHECK(handing(0, 0) == "no error");
  CHECK(handing(-1, 0) == "own.lr: must be at least 0, got -1.0");
  CHECK(handing(NAN, 0) == "own.lr: expected a finite number, got NaN");
  CHECK(handing(INFINITY, 0) == "own.lr: expected a finite number, got infinity");
  CHECK(handing(1, -1) == "own.weight_decay: must be at least 0, got -1.0");
  CHECK(handing(1, NAN) == "own.weight_decay: expected a finite number, got NaN");
  CHECK(handing(1, 0, {{.pattern = "w", .lr_factor = -1}}) == "own.groups.0.lr_factor: must be at least 0, got -1.0");
  CHECK(handing(1, 0, {{.pattern = "w", .lr_factor = INFINITY}}) ==
        "own.groups.0.lr_factor: expected a finite number, got infinity");
  CHECK(handing(1, 0, {{.pattern = "w", .weight_decay = NAN}}) ==
        "own.groups.0.weight_decay: expected a finite number, got NaN");

  Handing optimizer(0.5, 0, {});
  for (const double wrong : {-1.0, double(NAN), double(INFINITY)})
    CHECK(error_of([&] { optimizer.set_lr(wrong); }) ==
          fmt::format("own: set_lr: a learning rate is a finite number of 0 or more, got {}", wrong));
  CHECK(optimizer.lr() == 0.5);
  optimizer.set_lr(0);
  CHECK(optimizer.lr() == 0);
}

TEST_CASE("What update and observers throw names the optimizer and the parameter, and keeps its exit code") {
  CHECK(stepping([](Parameter&, const Tensor&) { throw std::out_of_range("index 3"); }) ==
        "own: update of \"fc.weight\": index 3");
  CHECK(stepping([](Parameter&, const Tensor&) { throw 42; }) == "own: update of \"fc.weight\": threw a value of type int");
  CHECK(stepping([](Parameter& p, const Tensor&) {
          p.tensor.detach().add_(ones({7}));
        }).starts_with("own: update of \"fc.weight\": add_: "));
  Own diverging({with_gradient("w")}, {}, [](Parameter&, const Tensor&) { throw DivergedError("too far"); });
  CHECK_THROWS_WITH_AS(diverging.step(), "own: update of \"w\": too far", DivergedError);
  struct Watch : StepObserver {
    bool afterwards = false;
    void before(const Parameter&, const Tensor&) override {
      if (!afterwards) throw std::runtime_error("no");
    }
    void after(const Parameter&, const Tensor&, const UpdateInfo&) override { throw 1.5; }
  } watch;
  Own watched({with_gradient("w")}, {});
  CHECK(error_of([&] { watched.step(&watch); }) == "own: observer of \"w\": no");
  watch.afterwards = true;
  CHECK(error_of([&] { watched.step(&watch); }) == "own: observer of \"w\": threw a value of type double");
}

TEST_CASE("A step moves every parameter that has a gradient as it begins, whatever its updates forget") {
  const std::vector<Parameter> list{with_gradient("a"), with_gradient("b"), parameter("without"), with_gradient("c")};
  std::map<std::string, std::vector<double>> given;
  for (const Parameter& p : list)
    if (p.tensor.grad().defined()) given[p.name] = p.tensor.grad().to_vector<double>();
  Own* running = nullptr;
  std::map<std::string, std::vector<double>> seen;
  Own own(list, {}, [&](Parameter& p, const Tensor& gradient) {
    seen[p.name] = gradient.to_vector<double>();
    running->zero_grad();
  });
  running = &own;
  own.step();
  CHECK(seen == given);
  CHECK(without_gradient(list).size() == 4);
  CHECK_THROWS_AS(own.step(), Error);
}

TEST_CASE("A rule for one element moves weights of f32 and f64 of any size as its formula says") {
  for (DType type : {DType::f32, DType::f64}) {
    for (int64_t n : {1, 7, 40000}) {
      const Parameter p{"w", randn({n}).to(type).detach().set_requires_grad()};
      std::vector<double> w = p.tensor.to_vector<double>(), m(w.size());
      Lion lion({p});
      for (int step = 0; step < 3; ++step) {
        std::vector<double> g = randn({n}).to_vector<double>();
        for (double& x : g) x = std::floor(4 * x) / 4;  // no sum of a few, weighted, is 0 but for rounding
        p.tensor.set_grad(Tensor::of<double>({n}, g).to(type));
        lion.step();
        for (size_t i = 0; i < w.size(); ++i) {
          const double c = 0.9 * m[i] + 0.1 * g[i];
          m[i] = 0.99 * m[i] + 0.01 * g[i];
          w[i] -= 0.1 * ((c > 0) - (c < 0) + 0.01 * w[i]);
        }
      }
      const std::vector<double> moved = p.tensor.to_vector<double>(), kept = lion.state().at("m/w").to_vector<double>();
      double off = 0;
      for (size_t i = 0; i < w.size(); ++i) off = std::max({off, std::abs(moved[i] - w[i]), std::abs(kept[i] - m[i])});
      CHECK(off < (type == DType::f32 ? 2e-6 : 1e-14));
    }
  }
  CHECK((1 - Coefficient(0.999)) * 1.0f == 0.001f);
}

TEST_CASE("A projected rule needs no state") {
  const Parameter p = with_gradient("w"), q{"w", p.tensor.detach().clone().set_requires_grad()};
  q.tensor.set_grad(p.tensor.grad().clone());
  Projected({p}).step();
  Sgdp({q}, {.lr = 0.1, .projection = "channel"}).step();
  CHECK(p.tensor.to_vector<float>() == q.tensor.to_vector<float>());
}

TEST_CASE("Writing to a gradient inside update is noticed") {
  const std::string refusal =
      "own: the update of \"fc.weight\" wrote to its gradient, which others may use; write to a clone() of it";
  CHECK(stepping([](Parameter&, const Tensor& g) { g.mul_(0.5); }) == refusal);
  CHECK(stepping([](Parameter&, const Tensor& g) { g.mutable_data<float>()[0] = 1; }) == refusal);
  CHECK(stepping([](Parameter& p, const Tensor& g) { p.tensor.detach().add_(g.clone().mul_(0.5), -1); }) == "no error");
#ifndef NDEBUG
  CHECK(stepping([](Parameter&, const Tensor& g) { const_cast<float*>(g.data<float>())[0] += 1; }) == refusal);
#endif
}

TEST_CASE("What update leaves of state and parameter is checked: what could not be saved, or read back, is refused at once") {
  using Change = std::function<void(Parameter&, const Tensor& gradient, ParameterState&)>;
  struct Remembers : Own {
    explicit Remembers(Change f) : Own({with_gradient("fc.weight")}, {"mean", "square"}), change(std::move(f)) {}
    UpdateInfo update(Parameter& p, const Tensor& g, const Group&, ParameterState& state) override {
      change(p, g, state);
      return {};
    }
    Change change;
  };
  const auto refusal = [](Change change) {
    return error_of([&] {
      Remembers own(std::move(change));
      own.step();
      Remembers other([](Parameter&, const Tensor&, ParameterState&) {});
      other.load_state(own.state());
    });
  };
  const auto state = [&](std::function<void(ParameterState&)> change) {
    return refusal([change](Parameter&, const Tensor&, ParameterState& s) { change(s); });
  };
  const std::string who = "own: the update of \"fc.weight\" ";
  CHECK(state([](ParameterState& s) {
          s.tensors[0].fill_(2);
          s.tensors[1] = full({2, 3}, 4);
        }) == "no error");
  const std::string slots = who + "left it {} tensors of state; it has one for each slot: mean, square";
  CHECK(state([](ParameterState& s) { s.tensors.push_back(ones({2, 3})); }) == fmt::format(fmt::runtime(slots), 3));
  CHECK(state([](ParameterState& s) { s.tensors.pop_back(); }) == fmt::format(fmt::runtime(slots), 1));
  CHECK(state([](ParameterState& s) { s.tensors.clear(); }) == fmt::format(fmt::runtime(slots), 0));
  const std::string shape = who + "made its \"square\" {}; a slot holds a tensor like the parameter, f32 [2,3]";
  CHECK(state([](ParameterState& s) { s.tensors[1] = ones({3}); }) == fmt::format(fmt::runtime(shape), "f32 [3]"));
  CHECK(state([](ParameterState& s) { s.tensors[1] = ones({3, 2}); }) == fmt::format(fmt::runtime(shape), "f32 [3,2]"));
  CHECK(state([](ParameterState& s) {
          s.tensors[1] = ones({2, 3}, DType::f64);
        }) == fmt::format(fmt::runtime(shape), "f64 [2,3]"));
  CHECK(state([](ParameterState& s) { s.tensors[1] = Tensor(); }) == fmt::format(fmt::runtime(shape), "undefined"));
  const std::string step = who + "set its step to {} from 1; the optimizer counts the steps itself";
  CHECK(state([](ParameterState& s) { s.step = -5; }) == fmt::format(fmt::runtime(step), -5));
  CHECK(state([](ParameterState& s) { ++s.step; }) == fmt::format(fmt::runtime(step), 2));
  // What shares memory with another tensor is another state once it has been saved and read back.
  const std::string shared = who + "made its \"mean\" share the memory of {}; write into the slot, or keep a clone()";
  CHECK(refusal([](Parameter&, const Tensor& g, ParameterState& s) { s.tensors[0] = g; }) ==
        fmt::format(fmt::runtime(shared), "the gradient"));
  CHECK(refusal([](Parameter& p, const Tensor&, ParameterState& s) { s.tensors[0] = p.tensor.detach(); }) ==
        fmt::format(fmt::runtime(shared), "the parameter"));
  CHECK(state([](ParameterState& s) { s.tensors[1] = s.tensors[0]; }) ==
        who + "made its \"square\" share the memory of its \"mean\"; write into the slot, or keep a clone()");
  CHECK(refusal([](Parameter& p, const Tensor&, ParameterState& s) { s.tensors[0] = p.tensor.clone(); }) ==
        who + "made its \"mean\" of tensors that need a gradient, so that it would keep their graph; make it of a detach()");
  const std::string replaced =
      who + "replaced the parameter's {} by another one; write into its tensor: p.tensor.detach().add_(...)";
  CHECK(refusal([](Parameter& p, const Tensor&, ParameterState&) { p.name = "other"; }) ==
        fmt::format(fmt::runtime(replaced), "name"));
  CHECK(refusal([](Parameter& p, const Tensor&, ParameterState&) {
          p.tensor = ones({2, 3}).set_requires_grad();
        }) == fmt::format(fmt::runtime(replaced), "tensor"));
}

TEST_CASE("Writing to a gradient in an observer is told of the observer") {
  struct Writes : StepObserver {
    bool first = true;
    void before(const Parameter&, const Tensor& g) override {
      if (first) g.mul_(2);
    }
    void after(const Parameter&, const Tensor& g, const UpdateInfo&) override { g.mul_(2); }
  } writes;
  Own own({with_gradient("w")}, {});
  const std::string refusal =
      "own: the observer of \"w\" wrote to its gradient, which others may use; write to a clone() of it";
  CHECK(error_of([&] { own.step(&writes); }) == refusal);
  writes.first = false;
  CHECK(error_of([&] { own.step(&writes); }) == refusal);
}

TEST_CASE("No optimizer that JSON can name writes to a gradient, by any way") {
  register_builtin_optimizers();
  for (const std::string& name : OptimizerRegistry::names()) {
    CAPTURE(name);
    const std::string text = fmt::format(
        R"({{"type": "{}", "lr": 0.1, "weight_decay": 0.01, "groups": [{{"dims": 1, {}"trust_ratio": 0.5}}, {{"pattern": "c", "renormalize_every": 2}}]}})",
        name, name == "muon" ? R"("optimizer": {"type": "sgd", "lr": 0.1}, )" : "");
    const std::vector<Parameter> list{parameter("a", {4, 3}), parameter("b", {5}), parameter("c", {3, 2, 2, 2})};
    const auto optimizer =
        config::parse<config::Component<OptimizerRegistry>>(config::parse_text(text, "test.json")).create(list);
    for (int step = 0; step < 3; ++step) {
      std::vector<std::vector<float>> before;
      for (const Parameter& p : list) {
        p.tensor.set_grad(randn(p.tensor.shape()));
        before.push_back(p.tensor.grad().to_vector<float>());
      }
      optimizer->step();
      for (size_t i = 0; i < list.size(); ++i) CHECK(list[i].tensor.grad().to_vector<float>() == before[i]);
    }
  }
}

TEST_CASE("A step without any gradient is an error: nothing would be trained") {
  const Parameter w = parameter("w");
  Sgd sgd({w}, {.lr = 1});
  CHECK(error_of([&] { sgd.step(); }) ==
        "sgd: none of the 1 parameters has a gradient; call backward() on a loss that depends on them before step(), and make "
        "the "
        "optimizer after Module::to()");
  CHECK(sgd.steps() == 0);
}

TEST_CASE("Built-in names are refused by the registries of this room") {
  CHECK(error_of([] {
          OptimizerRegistry::add<NoOptions>(
              "sgdp", "mine", [](const NoOptions&, const std::vector<Parameter>&) { return std::unique_ptr<Optimizer>(); });
        }) == "optimizer \"sgdp\" is built in; choose another name");
  CHECK(error_of([] {
          AverageRegistry::add<NoOptions>(
              "ema", "mine", [](const NoOptions&, const WeightAverage::Tensors&) { return std::unique_ptr<WeightAverage>(); });
        }) == "weight average \"ema\" is built in; choose another name");
  CHECK(error_of([] {
          ScheduleRegistry::add<NoOptions>("cosine", "mine",
                                           [](const NoOptions&) -> Schedule { return [](const Moment&) { return 1.0; }; });
        }) == "schedule \"cosine\" is built in; choose another name");
}

TEST_CASE("A step that is watched gives account of rate, decay and what the optimizer keeps of each parameter") {
  struct Watch : StepObserver {
    std::map<std::string, UpdateInfo> seen;
    void after(const Parameter& p, const Tensor&, const UpdateInfo& info) override { seen[p.name] = info; }
  } watch;
  const Parameter w = with_gradient("w"), bias = with_gradient("bias");
  Sgd sgd(
      {w, bias},
      {.lr = 0.5, .momentum = 0.9, .weight_decay = 0.01, .groups = {{.pattern = "bias", .weight_decay = 0, .lr_factor = 0.1}}});
  sgd.step();
  w.tensor.set_grad(w.tensor.grad() * 2.0);
  sgd.step(&watch);
  const UpdateInfo& of_w = watch.seen.at("w");
  CHECK(of_w.lr == 0.5);
  CHECK(of_w.weight_decay == 0.01);
  CHECK(of_w.updates == 2);
  REQUIRE(of_w.state.size() == 1);
  CHECK(of_w.state[0].first == "momentum");
  CHECK(of_w.state[0].second.same(sgd.state().at("momentum/w")));
  CHECK(watch.seen.at("bias").lr == 0.05);
  CHECK(watch.seen.at("bias").weight_decay == 0);
  Adam adam({w}, {});
  adam.step(&watch);
  REQUIRE(watch.seen.at("w").state.size() == 2);
  CHECK(watch.seen.at("w").updates == 1);
  for (const auto& [slot, tensor] : watch.seen.at("w").state) CHECK(tensor.same(adam.state().at(slot + "/w")));
}
