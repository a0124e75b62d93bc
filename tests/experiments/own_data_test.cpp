// A data set registered from C++: what disagrees with what was declared is refused by name, before the first step.
#include <doctest/doctest.h>

#include <cmath>

#include "core/config/json_document.h"
#include "experiments/experiment.h"
#include "nn/registry.h"

using namespace az;
using namespace az::experiments;

namespace {

// Grey images of 4x4 pixels and 3 classes, or what `fault` makes of them.
struct OwnOptions : data::DataOptions {
  std::string fault;
  int64_t images = 20, height = 4;
  static void fields(auto& f) {
    f("fault", &OwnOptions::fault, "what is wrong");
    f("images", &OwnOptions::images, "in the training part");
    f("height", &OwnOptions::height, "of an image");
    DataOptions::fields(f);
  }
};

data::DatasetContent content(int64_t count, const Shape& shape, int64_t classes) {
  data::DatasetContent content{.image_shape = shape, .pixels = {}, .labels = {}, .class_count = classes, .class_names = {}};
  for (int64_t i = 0; i < count; ++i) {
    content.labels.push_back(i % 3);
    for (int64_t place = 0; place < shape.numel(); ++place) content.pixels.push_back(uint8_t(37 * i + place));
  }
  return content;
}

data::Splits load(const OwnOptions& options) {
  const std::string& fault = options.fault;
  const Shape shape{1, options.height, 4};
  auto train =
      content(fault == "empty" ? 0 : options.images, fault == "shape" ? Shape{1, 5, 4} : shape, fault == "classes" ? 5 : 3);
  auto test = content(fault == "empty test" ? 0 : 6, fault == "shape" || fault == "test shape" ? Shape{1, 5, 4} : shape,
                      fault == "classes" ? 5 : 3);
  if (fault == "label") train.labels[7] = 3;
  if (fault == "negative label") test.labels[2] = -1;
  if (fault == "bytes") train.pixels.pop_back();
  if (fault == "labels") test.labels.pop_back();
  if (fault == "names") train.class_names = {"a", "b"};
  std::optional<data::Statistics> statistics;
  if (fault == "nan") statistics = {{0.5}, {NAN}};
  if (fault == "zero") statistics = {{0.5}, {0}};
  if (fault == "mean") statistics = {{INFINITY}, {1}};
  if (fault == "channels") statistics = {{0.5, 0.5}, {1, 1}};
  if (fault.starts_with("null augmentation")) {
    data::Splits splits = data::make_splits(data::Dataset(train), data::Dataset(test), options);
    (fault.ends_with("evaluation") ? splits.evaluation : splits.training).augment.push_back(nullptr);
    return splits;
  }
  if (fault == "by hand") {  // not by make_splits()
    data::Splits splits{data::Dataset(train), {}, data::Dataset(test).part({}), {.batch_size = 4}, {.batch_size = 4}};
    return splits;
  }
  return data::make_splits(data::Dataset(train, statistics), data::Dataset(test), options);
}

data::DataSource own(const OwnOptions& options) {
  const Shape shape = options.fault == "declared shape" ? Shape{4, 4} : Shape{1, options.height, 4};
  data::DataSource source{shape, options.fault == "declared classes" ? 0 : 3, [options] { return load(options); }};
  if (options.fault == "no load") source.load = {};
  if (options.fault != "unknown")
    source.plan = check_options(options, {1, options.height, 4}, options.images + (options.fault == "count"));
  if (options.fault == "no batch") source.plan->batch_size = 0;
  return source;
}

struct NoOptions {
  static void fields(auto&) {}
};

// Runs out of memory in training.
struct Hungry : nn::Layer<Hungry> {
  Tensor forward(const Tensor& x) override { return training() ? throw std::bad_alloc() : x; }
};

struct Examined : optim::Optimizer {
  explicit Examined(const std::vector<Parameter>& list) : Optimizer("examined", list, 0.1, 0, {}, {}) {}
  std::vector<std::string> examine() const override { throw std::out_of_range("index 3"); }
  optim::UpdateInfo update(Parameter&, const Tensor&, const optim::Group&, optim::ParameterState&) override { return {}; }
};

struct FactorOptions {
  std::string from = "nan";
  int64_t step = 7;
  static void fields(auto& f) {
    f("from", &FactorOptions::from, "the factor");
    f("step", &FactorOptions::step, "from which on it is so");
  }
};

ExperimentConfig config_with(const std::string& data, const std::string& layers = "", const std::string& train = "{}",
                             int64_t batch_size = 4, const std::string& more = "") {
  static const bool once = [] {
    register_builtin();
    data::DataRegistry::add<OwnOptions>("own", "grey images", own);
    nn::LayerRegistry::add<NoOptions>("hungry", "has no memory",
                                      [](const NoOptions&, const Shape&) { return std::make_unique<Hungry>(); });
    optim::OptimizerRegistry::add<NoOptions>("examined", "throws", [](const NoOptions&, const std::vector<Parameter>& list) {
      return std::make_unique<Examined>(list);
    });
    optim::ScheduleRegistry::add<FactorOptions>("factor", "goes wrong", [](const FactorOptions& options) -> optim::Schedule {
      return [options](const optim::Moment& at) { return at.step < options.step ? 1.0 : std::stod(options.from); };
    });
    return true;
  }();
  static_cast<void>(once);
  const std::string text = R"({"data": {"type": "own", )" + data + R"(, "batch_size": )" + std::to_string(batch_size) + R"(},
    "model": {"type": "network", "layers": [{"type": "flatten"}, )" +
                           layers + R"({"type": "linear", "out_features": 3}]},
    "optimizer": {"type": "sgd", "lr": 0.1}, "train": )" +
                           train + more + "}";
  return config::parse<ExperimentConfig>(config::parse_text(text, "exp.json"));
}

struct Refusal {
  std::string text;
  Exit code = Exit::done;
  bool operator==(const Refusal&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Refusal& refusal) { return out << int(refusal.code) << ": " << refusal.text; }

template <class Built = Experiment> Refusal refusal(const ExperimentConfig& config) {
  try {
    Built built(config);
  } catch (const Error& error) {
    return {error.what(), error.code()};
  }
  return {};
}

Refusal refusal(const char* fault) { return refusal(config_with(std::string("\"fault\": \"") + fault + "\"")); }

}  // namespace

TEST_CASE("data that is not as declared is refused by name, with what was declared and found") {
  const auto data = [](const std::string& text) { return Refusal{"own: " + text, Exit::data}; };
  CHECK(refusal("") == Refusal{});
  CHECK(refusal("shape") == data("the training part has images [1,5,4] of 3 classes, where [1,4,4] of 3 are declared"));
  CHECK(refusal("test shape") == data("the test part has images [1,5,4] of 3 classes, where [1,4,4] of 3 are declared"));
  CHECK(refusal("classes") == data("the training part has images [1,4,4] of 5 classes, where [1,4,4] of 3 are declared"));
  CHECK(refusal("count") == data("the training part has 20 images, where 21 are declared"));
  CHECK(refusal("empty") == data("the training part has no images"));
  CHECK(refusal("empty test") == data("the test part has no images"));
  CHECK(refusal("by hand") == data("the test part has no images"));
  CHECK(refusal("label") == data("dataset: sample 7 has label 3, expected 0 to 2, as class_count is 3"));
  CHECK(refusal("negative label") == data("dataset: sample 2 has label -1, expected 0 to 2, as class_count is 3"));
  CHECK(refusal("bytes") == data("dataset: 20 labels and images of [1,4,4], 16 bytes each, want 320 bytes of pixels, not 319"));
  CHECK(refusal("labels") == data("dataset: 5 labels and images of [1,4,4], 16 bytes each, want 80 bytes of pixels, not 96"));
  CHECK(refusal("names") == data("dataset: 2 class_names for 3 classes; give one for each, or none"));
  const std::string normalised = "dataset: pixels of channel 0 cannot be normalised with a mean of ";
  CHECK(refusal("nan") == data(normalised + "0.5 and a standard deviation of nan"));
  CHECK(refusal("zero") == data(normalised + "0.5 and a standard deviation of 0"));
  CHECK(refusal("mean") == data(normalised + "inf and a standard deviation of 1"));
  CHECK(refusal("channels") == data("dataset: the statistics have 2 means and 2 standard deviations for 1 channels"));
  const auto declared = [](const std::string& text) {
    return Refusal{"exp.json:1:10: data: its factory " + text, Exit::config};
  };
  CHECK(refusal("declared shape") ==
        declared("promises images of [4,4] and 3 classes; images are [c,h,w], and there is one class at least"));
  CHECK(refusal("declared classes") ==
        declared("promises images of [1,4,4] and 0 classes; images are [c,h,w], and there is one class at least"));
  CHECK(refusal("no batch") == declared("declares 20 training images in batches of 0; want at least one batch"));
  CHECK(refusal("no load") == declared("gives no way to load it: DataSource::load is empty"));
  for (const char* part : {"training", "evaluation"}) {
    CHECK(refusal((std::string("null augmentation of ") + part).c_str()) ==
          Refusal{"exp.json:1:10: data: data set \"own\": loader: an augmentation is null", Exit::config});
  }
}

TEST_CASE("where nobody knows how many images there are, that is noted, and the last batch is looked at once they are read") {
  const std::string norm = R"({"type": "batch_norm"}, )";
  const std::string unknown = R"("fault": "unknown", "images": )";
  const Blueprint blueprint(config_with(unknown + "21", norm));
  CHECK(blueprint.notes ==
        std::vector<std::string>{"data: own does not say how many images it has: what depends on that shows when "
                                 "it is read"});
  CHECK(refusal(config_with(unknown + "21", norm))
            .text.starts_with("exp.json:1:10: data.drop_last: the last batch of an epoch has 1 of "
                              "21 images"));
  CHECK(refusal(config_with(unknown + R"(21, "drop_last": true)", norm)) == Refusal{});
  CHECK(Experiment(config_with(unknown + "20", norm)).notes.empty());
  // Declared, it is looked at before.
  CHECK(refusal<Blueprint>(config_with(R"("images": 21)", norm)).text.find("data.drop_last: the last batch") !=
        std::string::npos);
}

TEST_CASE("a translation of images with a side of one pixel is refused") {
  const auto said = [](const std::string& views, int64_t height) {
    return refusal<Blueprint>(config_with("\"height\": " + std::to_string(height), "",
                                          R"({"evaluation": {"test_time_augmentation": ")" + views + "\"}}"));
  };
  CHECK(said("flip_translate", 1) == Refusal{"train.evaluation.test_time_augmentation: flip_translate reflects images at their "
                                             "edge, which needs sides of 2 pixels "
                                             "or more, got 1x4; take flip or none",
                                             Exit::config});
  CHECK(said("flip_translate", 2) == Refusal{});
  CHECK(said("flip", 1) == Refusal{});
}

TEST_CASE("what an optimizer throws as it is examined comes with its place; too little memory with the layer") {
  ExperimentConfig config = config_with("\"images\": 20");
  config.optimizer = config::Component<optim::OptimizerRegistry>("examined");
  CHECK(refusal<Blueprint>(config).text == "optimizer \"examined\": index 3");
  CHECK_THROWS_WITH_AS(
      Blueprint(config_with("\"images\": 20", R"({"type": "hungry"}, )")),
      "exp.json:2:66: model.layers.1: 1: Hungry: there is not enough memory; take smaller batches, a smaller network or fewer images",
      std::bad_alloc);
}

TEST_CASE("a schedule whose factor is no learning rate in some step of the training is refused before the first") {
  const auto said = [](const std::string& from, int64_t step) {
    const std::string schedule = fmt::format(R"(, "schedule": {{"type": "factor", "from": "{}", "step": {}}})", from, step);
    return refusal<Blueprint>(config_with("\"images\": 20", "", R"({"epochs": 2})", 4, schedule));  // 10 steps
  };
  for (const auto& [from, shown] : {std::pair{"nan", "nan"}, {"inf", "inf"}, {"-0.5", "-0.5"}}) {
    for (const int64_t step : {0, 7, 9}) {
      const Refusal refused = said(from, step);
      CHECK(refused.code == Exit::config);
      CHECK(refused.text.starts_with("exp.json:3:"));
      CHECK(refused.text.ends_with(fmt::format(
          ": schedule: schedule \"factor\" at step {}: its factor is {}; a learning rate is 0 or more", step, shown)));
    }
    CHECK(said(from, 10) == Refusal{});
  }
  CHECK(said("0", 5) == Refusal{});
}
