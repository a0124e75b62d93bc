// What code of one's own throws while a network is trained says where in the config its part stands: in the words of the errors
// of building it, which each part is held against here.
#include <doctest/doctest.h>

#include <functional>
#include <stdexcept>

#include "core/autograd/autograd.h"
#include "core/config/json_document.h"
#include "core/ops/elementwise.h"
#include "core/tensor/create.h"
#include "experiments/trainer.h"
#include "nn/registry.h"
#include "tests/compare.h"
#include "tests/data/temporary_folder.h"

using namespace az;
using namespace az::experiments;
using test::has;

namespace {

// Throws on the calls whose name it is given, or as the part is made.
struct FaultOptions {
  std::string fails;
  static void fields(auto& f) { f("fails", &FaultOptions::fails, "where"); }

  void at(const char* place) const {
    if (fails == place) thrower();
  }
  static std::function<void()> thrower;
};
std::function<void()> FaultOptions::thrower;

struct Jitter : data::Augmentation {
  explicit Jitter(FaultOptions given) : options(std::move(given)) {}
  void apply(data::Image& image, Philox&) const override {
    options.at("run");
    if (options.fails == "size") image.pixels.clear();
  }
  FaultOptions options;
};

struct Watch : Probe {
  explicit Watch(FaultOptions given) : Probe(1), options(std::move(given)) {}
  void before(const Parameter&, const Tensor&) override { options.at("before"); }
  void after(const Parameter&, const Tensor&, const optim::UpdateInfo&) override { options.at("after"); }
  std::vector<Quantity> columns() const override {
    options.at("columns");
    return {};
  }
  void report(const Write& write) override {
    options.at("run");
    if (options.fails == "line") write({{"undeclared", 1.0}});
  }
  FaultOptions options;
};

struct Descent : optim::Optimizer {
  Descent(FaultOptions given, const std::vector<Parameter>& list)
      : Optimizer("descent", list, 0.1, 0, {}, {}), options(std::move(given)) {}
  optim::UpdateInfo update(Parameter&, const Tensor& gradient, const optim::Group&, optim::ParameterState&) override {
    options.at("run");
    if (options.fails == "gradient") gradient.mul_(2);
    return {};
  }
  optim::EffectiveRate effective_rate(const Parameter&, const optim::Group&, const optim::ParameterState&) const override {
    options.at("rate");
    return {};
  }
  std::optional<optim::NormRule> own_norm_rule() const override {
    options.at("rule");
    return {};
  }
  FaultOptions options;
};

// x + 0, which passes what preflight tries: there is no gradient, and evaluation begins once there was one.
struct Same : nn::Layer<Same> {
  explicit Same(FaultOptions given) : options(std::move(given)) { add_parameter("shift", zeros({1})); }
  Same(const Same& other) : Layer(other), options(other.options) { options.at("copy"); }
  Tensor forward(const Tensor& images) override {
    const Tensor x = images + parameter("shift");
    if (GradMode::enabled()) {
      options.at("run");
      trained = true;
    }
    if (trained && !training()) options.at("evaluation");
    if (!GradMode::enabled()) return x;
    return record("same", x.detach(), {x}, saved(x), ByOps{[given = options](const Back& k) {
                    given.at("backward");
                    return given.fails == "count" ? Grads{} : Grads{k.g};
                  }});
  }
  FaultOptions options;
  bool trained = false;
};

data::DataSource noise(const data::DataOptions& options) {
  return {{1, 2, 2}, 2, [options]() -> data::Splits {
            const auto part = [] {
              data::DatasetContent content{{1, 2, 2}, {}, {}, 2, {}};
              for (int64_t i = 0; i < 8; ++i) {
                content.labels.push_back(i % 2);
                for (int64_t at = 0; at < 4; ++at) content.pixels.push_back(uint8_t(i * 29 + at * 7));
              }
              return data::Dataset(std::move(content));
            };
            data::Splits splits = data::make_splits(part(), part(), options);
            splits.training.augment.push_back(std::make_shared<Jitter>(FaultOptions{.fails = options.drop_last ? "run" : ""}));
            return splits;
          }};
}

template <class R, class T, class... Args> void add(const char* name) {
  R::template add<FaultOptions>(name, "may fail", [](const FaultOptions& options, const auto&... args) {
    options.at("build");
    return std::make_unique<T>(options, static_cast<const Args&>(args)...);
  });
}

void register_parts() {
  static const bool once = [] {
    register_builtin();
    data::DataRegistry::add<data::DataOptions>("placed noise", "drawn on the spot", noise);
    add<data::AugmentRegistry, Jitter>("faulty");
    ProbeRegistry::add<FaultOptions>("faulty", "may fail", [](const FaultOptions& options, const std::vector<Parameter>&) {
      options.at("build");
      return std::make_unique<Watch>(options);
    });
    add<optim::OptimizerRegistry, Descent, std::vector<Parameter>>("faulty");
    nn::LayerRegistry::add<FaultOptions>("faulty", "may fail", [](const FaultOptions& options, const Shape&) {
      options.at("build");
      return std::make_unique<Same>(options);
    });
    optim::ScheduleRegistry::add<FaultOptions>("faulty", "may fail", [](const FaultOptions& options) -> optim::Schedule {
      options.at("build");
      return [options, calls = 0](const optim::Moment& at) mutable {
        if (++calls > 4) options.at("run");  // more than preflight asks
        return options.fails == "factor" && calls > 4 ? -1.0 : at.step >= 0 ? 1.0 : 0.0;
      };
    });
    return true;
  }();
  static_cast<void>(once);
}

// Two of each kind that a list has. `path` is the one that fails.
std::string config_text() {
  return R"({"data": {"type": "placed noise", "batch_size": 4, "augment": [{"type": "faulty"},
            {"type": "faulty"}]},
  "model": {"type": "network", "layers": [{"type": "faulty"}, {"type": "flatten"},
    {"type": "sequential", "layers": [{"type": "faulty"},
                                      {"type": "faulty"}]},
    {"type": "residual", "body": [{"type": "faulty"}]},
    {"type": "linear", "out_features": 2}]},
  "optimizer": {"type": "faulty"},
  "schedule": {"type": "faulty"},
  "probes": [{"type": "faulty"},
             {"type": "faulty"}],
  "train": {"epochs": 2}})";
}

struct Said {
  std::string text;
  Exit code = Exit::done;
};

// What a training says in which the part at `path` throws.
Said said(const std::string& path, const std::string& fails, std::function<void()> thrower) {
  register_parts();
  FaultOptions::thrower = std::move(thrower);
  config::Value value = config::parse_text(config_text(), "exp.json");
  config::set_path(value, path + ".fails", config::Value(fails), {});
  const TemporaryFolder folder;
  try {
    Experiment experiment(config::parse<ExperimentConfig>(value));
    Trainer(experiment, folder.path.string(), {.show_progress = false}).run();
  } catch (const Error& error) {
    return {error.what(), error.code()};
  } catch (const std::bad_alloc& error) {
    return {error.what(), Exit::failure};
  }
  return {};
}

// "exp.json:2:13: data.augment.1: ", as building it says.
std::string place_of(const std::string& path) {
  const std::string text = said(path, "build", [] { fail("no"); }).text, name = ": " + path + ": ";
  REQUIRE(has(text, name));
  return text.substr(0, text.find(name) + name.size());
}

const std::function<void()> throw_index = [] { throw std::out_of_range("index 3"); };

}  // namespace

TEST_CASE("what a part throws while it is used starts with its place in the config") {
  CHECK(said("optimizer", "never", throw_index).text == "");
  const auto check = [](const std::string& path, const std::string& fails, const std::string& rest) {
    CAPTURE(path);
    CAPTURE(fails);
    const Said got = said(path, fails, throw_index);
    const std::string place = place_of(path);
    CHECK(got.text.substr(0, place.size()) == place);
    CHECK(has(got.text.substr(std::min(place.size(), got.text.size())), rest));
    CHECK_FALSE(has(got.text.substr(std::min(place.size(), got.text.size())), "exp.json"));
  };
  for (const char* path : {"data.augment.0", "data.augment.1"}) {
    check(path, "run", "augmentation Jitter, sample ");
    check(path, "size", "it left 0 bytes of pixels");
  }
  for (const char* path : {"probes.0", "probes.1"}) {
    check(path, "before", "probe \"faulty\" at \"");
    check(path, "after", "probe \"faulty\" at \"");
    check(path, "run", "probe \"faulty\": index 3");
    check(path, "line", "probe \"faulty\": a line about neither a parameter nor a module");
    check(path, "columns", "index 3");
  }
  check("optimizer", "run", "descent: update of \"0.shift\": index 3");
  check("optimizer", "gradient", "descent: the update of \"0.shift\" wrote to its gradient");
  check("optimizer", "rate", "descent: update of \"0.shift\": index 3");
  check("optimizer", "rule", "descent: own_norm_rule: index 3");
  check("schedule", "run", "schedule \"faulty\" at step ");
  check("schedule", "factor", "its factor is -1");
  for (const auto& [path, name] : {std::pair{"model.layers.0", "0: "},
                                   {"model.layers.2.layers.0", "2.0: "},
                                   {"model.layers.2.layers.1", "2.1: "},
                                   {"model.layers.3.body.0", "3.body.0: "}}) {
    check(path, "run", std::string(name) + "Same: index 3");
    check(path, "evaluation", std::string(name) + "Same: index 3");
    check(path, "copy", std::string(name) + "index 3");
    check(path, "backward", std::string(name) + "same: backward: index 3");
    check(path, "count", std::string(name) + "same: backward: the gradient returned 0 tensors");
  }
}

TEST_CASE("whatever is thrown, it comes with the place, and an Error with its exit code") {
  const auto check = [](std::function<void()> thrower, const std::string& rest, Exit code = Exit::failure) {
    for (const auto& [path, fails] : {std::pair{"data.augment.1", "run"},
                                      {"probes.1", "before"},
                                      {"probes.0", "run"},
                                      {"optimizer", "run"},
                                      {"schedule", "run"},
                                      {"model.layers.2.layers.1", "run"},
                                      {"model.layers.2.layers.1", "backward"}}) {
      CAPTURE(path);
      CAPTURE(rest);
      const Said got = said(path, fails, thrower);
      CHECK(got.text.starts_with(place_of(path)));
      CHECK(has(got.text, rest));
      CHECK(got.code == code);
    }
  };
  check([] { fail("no"); }, ": no");
  check([] { throw DataError("gone"); }, ": gone", Exit::data);
  check([] { throw DivergedError("too far"); }, ": too far", Exit::diverged);
  check([] { throw std::string("a text"); }, ": a text");
  check([] { throw "a text"; }, ": a text");
  check([] { throw 42; }, ": threw a value of type int");
  check([] { throw std::bad_alloc(); }, ": there is not enough memory");
}

TEST_CASE("an augmentation that a data set brings in C++ has the place of the data set") {
  register_parts();
  FaultOptions::thrower = throw_index;
  config::Value value = config::parse_text(config_text(), "exp.json");
  config::set_path(value, "data.drop_last", config::Value(true), {});
  Experiment experiment(config::parse<ExperimentConfig>(value));
  CHECK(test::error_of([&] { *experiment.train.begin(); }).starts_with("exp.json:1:10: data: augmentation Jitter, sample "));
}
