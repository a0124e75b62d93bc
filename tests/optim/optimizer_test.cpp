#include "core/base/threads.h"
#include "core/config/json_document.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "optim/adam.h"
#include "optim/adamp.h"
#include "optim/builtin.h"
#include "optim/clip.h"
#include "optim/sgd.h"
#include "optim/sgdp.h"
#include "tests/optim/model.h"

using namespace az;
using namespace az::optim;

namespace {

std::vector<Parameter> parameters() {
  model::Random random{std::mt19937_64(11)};
  auto leaf = [&](const Shape& shape) {
    model::Vector values(size_t(shape.numel()));
    for (double& x : values) x = random();
    return model::tensor<float>(shape, values).set_requires_grad();
  };
  return {{"conv1.weight", leaf({8, 3, 3, 3}), ParameterKind::weight},
          {"bn1.weight", leaf({8}), ParameterKind::norm},
          {"bn1.bias", leaf({8}), ParameterKind::norm},
          {"fc.weight", leaf({10, 8}), ParameterKind::weight},
          {"fc.bias", leaf({10}), ParameterKind::bias}};
}

void set_gradients(const std::vector<Parameter>& list, int seed) {
  model::Random random{std::mt19937_64(uint64_t(seed))};
  for (const Parameter& parameter : list) {
    model::Vector values(size_t(parameter.tensor.numel()));
    for (double& x : values) x = random();
    parameter.tensor.set_grad(model::tensor<float>(parameter.tensor.shape(), values));
  }
}

std::vector<float> values(const std::vector<Parameter>& list) {
  std::vector<float> all;
  for (const Parameter& parameter : list) {
    const auto part = parameter.tensor.to_vector<float>();
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

std::unique_ptr<Optimizer> from_json(const std::string& text, const std::vector<Parameter>& list) {
  register_builtin_optimizers();
  const auto component =
      config::parse<config::Component<OptimizerRegistry>>(config::parse_text(text, "test.json"), "optimizer");
  return component.create(list);
}

std::string error_of(const std::function<void()>& action, Exit code = Exit::failure) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return "no error";
}

// How far one element moved under plain SGD with lr 1 and a gradient of 1 everywhere.
std::map<std::string, double> moves(const std::string& groups, double weight_decay = 0) {
  auto list = parameters();
  for (const Parameter& p : list) {
    p.tensor.detach().fill_(2);
    p.tensor.set_grad(Tensor::empty(p.tensor.shape()).fill_(1));
  }
  from_json(fmt::format(R"({{"type": "sgd", "lr": 1, "weight_decay": {}, "groups": {}}})", weight_decay, groups), list)->step();
  std::map<std::string, double> result;
  for (const Parameter& p : list) result[p.name] = 2 - double(p.tensor.data<float>()[0]);
  return result;
}

const char* const every_type[] = {
    R"({"type": "sgd", "lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.01})",
    R"({"type": "sgdp", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01})", R"({"type": "adam", "weight_decay": 0.01})",
    R"({"type": "adamw", "groups": [{"dims": 2, "renormalize_every": 2}, {"pattern": "*", "trust_ratio": 2}]})",
    R"({"type": "adamp", "weight_decay": 0.01, "nesterov": true})"};

}  // namespace

TEST_CASE("Groups select by kind, dimensions and pattern; a later group overrides option by option") {
  using Moves = std::map<std::string, double>;
  CHECK(moves("[]", 0.5) == Moves{{"conv1.weight", 2}, {"bn1.weight", 2}, {"bn1.bias", 2}, {"fc.weight", 2}, {"fc.bias", 2}});
  CHECK(moves(R"([{"kind": "norm", "weight_decay": 0}])", 0.5) ==
        Moves{{"conv1.weight", 2}, {"bn1.weight", 1}, {"bn1.bias", 1}, {"fc.weight", 2}, {"fc.bias", 2}});
  CHECK(moves(R"([{"dims": 1, "lr_factor": 4}])") ==
        Moves{{"conv1.weight", 1}, {"bn1.weight", 4}, {"bn1.bias", 4}, {"fc.weight", 1}, {"fc.bias", 4}});
  CHECK(moves(R"([{"pattern": "fc.*", "lr_factor": 0.5}])") ==
        Moves{{"conv1.weight", 1}, {"bn1.weight", 1}, {"bn1.bias", 1}, {"fc.weight", 0.5}, {"fc.bias", 0.5}});
  CHECK(moves(R"([{"dims": 1, "weight_decay": 0, "lr_factor": 8}, {"kind": "norm", "pattern": "*.bias", "lr_factor": 64}])",
              0.5) == Moves{{"conv1.weight", 2}, {"bn1.weight", 8}, {"bn1.bias", 64}, {"fc.weight", 2}, {"fc.bias", 8}});
}

TEST_CASE("A group that matches nothing, selects by nothing or changes nothing is an error that says what to do") {
  auto error = [](const std::string& groups) { return error_of([&] { moves(groups); }, Exit::config); };
  CHECK(error(R"([{"kind": "norm", "lr_factor": 2}, {"pattern": "head.*", "lr_factor": 2}])") ==
        "test.json:1:1: optimizer: groups[1]: none of the 5 parameters (the first is \"conv1.weight\") fits pattern "
        "\"head.*\"; correct it or remove it");
  CHECK(error(R"([{"kind": "norm", "dims": 4, "lr_factor": 2}])").find("fits kind \"norm\" dims 4") != std::string::npos);
  CHECK(error(R"([{"lr_factor": 2}])").find("give it a kind, dims or pattern") != std::string::npos);
  CHECK(
      error(R"([{"kind": "norm"}])").find("give it a weight_decay, lr_factor, trust_ratio, renormalize_every, optimizer or") !=
      std::string::npos);
  CHECK(error(R"([{"kind": "normal", "lr_factor": 2}])").find("norm") != std::string::npos);
}

TEST_CASE("A frozen group gets no gradient and no update; a later group may except some of it") {
  auto list = parameters();
  set_gradients(list, 1);  // those of frozen parameters are dropped
  std::vector<std::vector<float>> before;
  for (const Parameter& parameter : list) before.push_back(parameter.tensor.to_vector<float>());
  const char* const text = R"({"type": "sgdp", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "groups": [
    {"pattern": "*1.*", "frozen": true}, {"kind": "norm", "pattern": "*.bias", "frozen": false}]})";
  const auto optimizer = from_json(text, list);
  optimizer->step();
  const std::vector<bool> frozen = {true, true, false, false, false};
  for (size_t i = 0; i < list.size(); ++i) {
    CAPTURE(list[i].name);
    CHECK(list[i].tensor.requires_grad() != frozen[i]);
    CHECK((list[i].tensor.to_vector<float>() == before[i]) == frozen[i]);
  }
  optimizer->zero_grad();
  sum(list[0].tensor * 2 + sum(list[3].tensor)).backward();
  CHECK_FALSE(list[0].tensor.grad().defined());
  CHECK(list[3].tensor.grad().defined());
  CHECK(error_of([&] { from_json(R"({"type": "adam", "groups": [{"pattern": "*", "frozen": true}]})", parameters()); },
                 Exit::config) == "test.json:1:1: optimizer: groups freeze all 5 parameters; leave some to train");
  for (const char* groups :
       {R"({"pattern": "*", "lr_factor": 0})", R"({"pattern": "fc*", "frozen": true}, {"pattern": "[!f]*", "lr_factor": 0})"}) {
    const std::string frozen_by = fmt::format(R"({{"type": "adam", "groups": [{}]}})", groups);
    CHECK(
        error_of([&] { from_json(frozen_by, parameters()); }, Exit::config) ==
        "test.json:1:1: optimizer: groups freeze all 5 parameters, by \"frozen\" or by an lr_factor of 0; leave some to train");
  }
  CHECK(error_of([&] { from_json(R"({"type": "adam", "groups": [{"pattern": "head*", "frozen": true}]})", parameters()); },
                 Exit::config)
            .find("fits pattern \"head*\"") != std::string::npos);
}

TEST_CASE("An optimizer that is refused leaves the parameters as they were, frozen groups included") {
  const std::vector<GroupOptions> freezing{{.pattern = "conv1.*", .frozen = true}};
  const auto intact = [&](const std::function<void(const std::vector<Parameter>&)>& make) {
    auto list = parameters();
    set_gradients(list, 1);
    CHECK_THROWS_AS(make(list), Error);
    for (const Parameter& parameter : list) {
      CHECK(parameter.tensor.requires_grad());
      CHECK(parameter.tensor.grad().defined());
    }
  };
  intact([&](const auto& list) { Sgd(list, {.lr = 0.1, .nesterov = true, .groups = freezing}); });
  intact([&](const auto& list) { Sgd(list, {.lr = -1, .groups = freezing}); });
  intact([&](const auto& list) { Sgdp(list, {.lr = 0.1, .momentum = 1, .groups = freezing}); });
  intact([&](const auto& list) { Adam(list, {.betas = {0.9}, .groups = freezing}); });
  intact([&](const auto& list) { AdamW(list, {.eps = -1, .groups = freezing}); });
  intact([&](const auto& list) { Adamp(list, {.projection = "sometimes", .groups = freezing}); });
  intact([&](const auto& list) {
    auto groups = freezing;
    groups.push_back({.pattern = "fc.*", .trust_ratio = -1});
    Adam(list, {.groups = groups});
  });
  intact([&](const auto& list) {
    auto twice = list;
    twice.push_back(list[1]);
    Adam(twice, {.groups = freezing});
  });
}

TEST_CASE("Every optimizer takes learning rate and decay from the group, and the rate that is set") {
  for (const char* type : {R"("sgd", "momentum": 0.9)", R"("sgd", "decoupled": true)", R"("sgdp", "momentum": 0.9)",
                           R"("adam")", R"("adamw")", R"("adamp")"}) {
    CAPTURE(type);
    const auto moved = [&](double lr, double decay, const std::string& groups, double set) {
      auto list = parameters();
      const auto optimizer = from_json(
          fmt::format(R"({{"type": {}, "lr": {}, "weight_decay": {}, "groups": [{}]}})", type, lr, decay, groups), list);
      CHECK(optimizer->lr() == lr);
      if (set > 0) optimizer->set_lr(set);
      for (int step = 0; step < 3; ++step) {
        set_gradients(list, step);
        optimizer->step();
      }
      return values(list);
    };
    const auto plain = moved(0.25, 0.125, "", 0);
    CHECK(moved(1, 0.5, R"({"pattern": "*", "lr_factor": 0.25, "weight_decay": 0.125})", 0) == plain);
    CHECK(moved(1, 0.125, "", 0.25) == plain);
    CHECK(moved(1, 0.125, "", 0) != plain);
    CHECK(moved(0.25, 0.5, "", 0) != plain);
  }
}

TEST_CASE("Options given in C++ are held to the same rules as JSON's") {
  for (const double endless : {double(INFINITY), double(NAN)}) {
    CHECK(error_of([&] { Sgd(parameters(), {.lr = endless}); }, Exit::config).starts_with("sgd.lr: expected a finite number"));
    CHECK(error_of([&] { Adam(parameters(), {.weight_decay = endless}); }, Exit::config).find("weight_decay: expected a fin") !=
          std::string::npos);
  }
  CHECK(error_of([] { Sgd(parameters(), {}); }, Exit::config).find("lr") != std::string::npos);
  CHECK(error_of([] { Sgd(parameters(), {.lr = 0.1, .nesterov = true}); }, Exit::config).find("momentum") != std::string::npos);
  CHECK(error_of([] { Sgdp(parameters(), {.lr = 0.1, .momentum = 1}); }, Exit::config).find("momentum") != std::string::npos);
  CHECK(error_of([] { from_json(R"({"type": "sgdp"})", parameters()); }, Exit::config).find("lr") != std::string::npos);
  CHECK(error_of([] { from_json(R"({"type": "adamp", "betas": [0.9]})", parameters()); }, Exit::config)
            .find("betas: must have 2 elements, got 1") != std::string::npos);
  CHECK(error_of([] { from_json(R"({"type": "adam", "betas": [0.9, 1]})", parameters()); }, Exit::config).find("betas") !=
        std::string::npos);
}

TEST_CASE("Parameters must differ in name and tensor, and be f32 or f64") {
  auto list = parameters();
  auto error = [](const std::vector<Parameter>& all) { return error_of([&] { Sgd(all, {.lr = 1}); }); };
  CHECK(error({list[0], {"conv1.weight", list[1].tensor}}) == "sgd: two parameters are named \"conv1.weight\"");
  CHECK(error({list[0], {"other", list[0].tensor}}).find("\"other\"") != std::string::npos);
  CHECK(error({{"labels", Tensor::empty({3}, DType::i64)}}) == "sgd: \"labels\" is i64; parameters are f32 or f64");
  CHECK(error({}) == "sgd: there are no parameters to train");
}

TEST_CASE("A parameter without gradient is skipped, and its bias correction starts at its first own step") {
  auto both = parameters(), late = parameters();
  const auto a = from_json(R"({"type": "adam"})", both), b = from_json(R"({"type": "adam"})", late);
  set_gradients(both, 1);
  a->step();
  set_gradients(late, 1);
  late[0].tensor.zero_grad();
  const auto before = late[0].tensor.to_vector<float>();
  b->step();
  CHECK(late[0].tensor.to_vector<float>() == before);
  CHECK(late[1].tensor.to_vector<float>() == both[1].tensor.to_vector<float>());
  CHECK(b->state().count("exp_avg/conv1.weight") == 0);
  set_gradients(late, 1);
  b->step();
  CHECK(late[0].tensor.to_vector<float>() == both[0].tensor.to_vector<float>());
  b->zero_grad();
  for (const Parameter& p : late) CHECK_FALSE(p.tensor.grad().defined());
}

TEST_CASE("Saved and loaded state continues bit for bit") {
  for (const char* text : every_type) {
    CAPTURE(text);
    auto list = parameters();
    const auto whole = from_json(text, list);
    for (int step = 0; step < 3; ++step) {
      set_gradients(list, step);
      if (step == 0) list[4].tensor.zero_grad();
      whole->step();
    }
    std::map<std::string, Tensor> state;
    std::map<std::string, std::vector<double>> saved;
    for (const auto& [name, tensor] : whole->state()) {
      state[name] = tensor.clone();
      saved[name] = tensor.to_vector<double>();
    }
    CHECK(state.at("steps").item() == 3);
    CHECK(state.at("steps/fc.bias").item() == 2);
    auto copy = list;
    for (Parameter& p : copy) p.tensor = p.tensor.detach().clone().set_requires_grad();
    const auto resumed = from_json(text, copy);
    resumed->load_state(state);
    CHECK(resumed->steps() == 3);
    for (int step = 3; step < 6; ++step) {
      set_gradients(list, step), set_gradients(copy, step);
      whole->step(), resumed->step();
    }
    CHECK(values(list) == values(copy));
    const auto end = whole->state(), other = resumed->state();
    REQUIRE(end.size() == other.size());
    for (const auto& [name, tensor] : end) CHECK(tensor.to_vector<double>() == other.at(name).to_vector<double>());
    for (const auto& [name, tensor] : state) CHECK(tensor.to_vector<double>() == saved.at(name));  // copied, not shared
  }
}

TEST_CASE("Renormalizing can be left off on the way") {
  auto list = parameters();
  Sgd renormalized(list, {.lr = 0.1, .groups = {{.pattern = "*", .renormalize_every = 2}}});
  set_gradients(list, 1);
  renormalized.step();
  Sgd plain(list, {.lr = 0.1});
  plain.load_state(renormalized.state());
  CHECK(plain.steps() == 1);
}

TEST_CASE("A state that does not fit is refused by name and changes nothing") {
  auto list = parameters();
  Sgd optimizer(list, {.lr = 0.1, .momentum = 0.9});
  set_gradients(list, 1);
  optimizer.step();
  const auto good = optimizer.state();
  auto error = [&](const std::function<void(std::map<std::string, Tensor>&)>& spoil) {
    auto state = good;
    spoil(state);
    return error_of([&] { optimizer.load_state(state); });
  };
  CHECK(error([](auto& s) { s.erase("momentum/fc.bias"); }) ==
        "sgd: the saved state has no \"momentum/fc.bias\"; it is of another model or optimizer");
  CHECK(error([](auto& s) { s["momentum/fc.bias"] = Tensor::empty({11}).fill_(0); }) ==
        "sgd: the saved \"momentum/fc.bias\" is f32 [11], expected f32 [10]");
  CHECK(error([](auto& s) { s["exp_avg/fc.bias"] = Tensor::empty({10}).fill_(0); }).find("\"exp_avg/fc.bias\"") !=
        std::string::npos);
  CHECK(error([](auto& s) { s["steps/fc.bias"] = Tensor::of<int64_t>({}, {-1}); }) == "sgd: the saved \"steps/fc.bias\" is -1");
  CHECK(error([](auto& s) { s.erase("steps"); }).find("no \"steps\"") != std::string::npos);
  const auto after = optimizer.state();
  for (const auto& [name, tensor] : good) CHECK(tensor.to_vector<double>() == after.at(name).to_vector<double>());
}

TEST_CASE("The number of threads changes no bit") {
  const int before = thread_count();
  for (const char* text : every_type) {
    CAPTURE(text);
    std::vector<std::vector<float>> results;
    std::vector<double> norms;
    for (int threads : {1, 2, 3}) {
      set_thread_count(threads);
      model::Random random{std::mt19937_64(5)};
      model::Vector weights(64 * 1200);
      for (double& x : weights) x = random();
      std::vector<Parameter> list{{"w", model::tensor<float>({64, 1200}, weights).set_requires_grad()}};
      const auto optimizer = from_json(text, list);
      for (int step = 0; step < 3; ++step) {
        set_gradients(list, step);
        norms.push_back(clip_grad_norm(list, 3));
        optimizer->step();
      }
      results.push_back(values(list));
    }
    CHECK(results[0] == results[1]);
    CHECK(results[0] == results[2]);
    for (size_t i = 0; i < 6; ++i) CHECK(norms[i] == norms[i + 3]);
  }
  set_thread_count(before);
}

TEST_CASE("Each type of optimizer has the authors' defaults") {
  register_builtin_optimizers();
  register_builtin_optimizers();
  for (const char* name : {"adam", "adamp", "adamw", "muon", "sgd", "sgdp"}) CHECK(OptimizerRegistry::base().at(name).built_in);
  auto resolved = [](const std::string& text) {
    const auto value = config::parse_text(text, "test.json");
    return config::dump(config::parse<config::Component<OptimizerRegistry>>(value).to_value());
  };
  CHECK(
      resolved(R"({"type": "sgdp", "lr": 0.1})") ==
      R"({"type": "sgdp", "lr": 0.1, "momentum": 0.0, "dampening": 0.0, "nesterov": false, "weight_decay": 0.0, "delta": 0.1, )"
      R"("wd_ratio": 0.1, "eps": 1e-08, "project_momentum": true, "projection": "rule", "groups": []})");
  CHECK(
      resolved(R"({"type": "adamp"})") ==
      R"({"type": "adamp", "lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-08, "weight_decay": 0.0, "delta": 0.1, "wd_ratio": 0.1, )"
      R"("nesterov": false, "projection": "rule", "groups": []})");
  CHECK(resolved(R"({"type": "muon", "lr": 0.02})") ==
        R"({"type": "muon", "lr": 0.02, "momentum": 0.95, "nesterov": true, "ns_steps": 5, )"
        R"("ns_coefficients": [3.4445, -4.775, 2.0315], "weight_decay": 0.0, "normalize": false, "groups": []})");
}
