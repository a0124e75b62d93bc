// Layers registered from C++, on which a config's network is tried before the first step: with the sizes of batches that will
// come, told with the place of the layer, and with a note on state that it did not register.
#include <doctest/doctest.h>

#include <set>
#include <stdexcept>

#include "core/autograd/autograd.h"
#include "core/config/json_document.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/ops/shape.h"
#include "core/tensor/create.h"
#include "experiments/preflight.h"
#include "nn/layers/flatten.h"
#include "nn/layers/linear.h"
#include "nn/layers/sequential.h"
#include "nn/registry.h"
#include "tests/compare.h"

using namespace az;
using namespace az::experiments;

namespace {

struct NoOptions {
  static void fields(auto&) {}
};

// Wants a whole number of fours in training, as batch norm of parts of a batch does.
struct Fours : nn::Layer<Fours> {
  Tensor forward(const Tensor& x) override {
    if (training() && x.size(0) % 4 != 0) fail("fours: {} images are no whole number of fours", x.size(0));
    return x * 2.0;
  }
};

// Takes up to four images as they are, and more by fours: statistics of parts of a batch.
struct GhostOptions {
  bool in_evaluation = false;
  int64_t floats = 0;
  static void fields(auto& f) {
    f("in_evaluation", &GhostOptions::in_evaluation, "wants fours in evaluation, too");
    f("floats", &GhostOptions::floats, "that it takes an image of a large batch");
  }
};
struct Ghost : nn::Layer<Ghost> {
  explicit Ghost(const GhostOptions& given) : options(given) {}
  Tensor forward(const Tensor& x) override {
    const int64_t count = x.size(0);
    if (count > 4 && options.floats > 0) zeros({count, options.floats});
    if (count > 4 && count % 4 != 0 && (training() || options.in_evaluation)) fail("ghost: {} images", count);
    return x * 2.0;
  }
  GhostOptions options;
};

// Fails in one mode.
struct BoomOptions {
  std::string mode;
  static void fields(auto& f) { f("mode", &BoomOptions::mode, "in which it fails"); }
};
struct Boom : nn::Layer<Boom> {
  explicit Boom(const BoomOptions& given) : options(given) {}
  Tensor forward(const Tensor& x) override {
    const std::string mode = training() ? "training" : "evaluation";
    if (mode == options.mode && x.size(0) > 1) throw std::out_of_range("in " + mode);  // it is built on one image
    return x;
  }
  BoomOptions options;
};

// Takes batches of at least so many images, of a multiple of some number, or of just so many; in either mode.
struct ManyOptions {
  int64_t least = 1, multiple = 1, exactly = 0;
  static void fields(auto& f) {
    f("least", &ManyOptions::least, "images");
    f("multiple", &ManyOptions::multiple, "of images");
    f("exactly", &ManyOptions::exactly, "images; 0: any");
  }
};
struct Many : nn::Layer<Many> {
  explicit Many(const ManyOptions& given) : options(given) {}
  Tensor forward(const Tensor& x) override {
    const int64_t count = x.size(0);
    if (count < options.least || count % options.multiple || (options.exactly && count != options.exactly))
      throw std::runtime_error("not of that many");
    return x * 2.0;
  }
  ManyOptions options;
};

// Takes off a running mean, which is a plain member.
struct Running : nn::Layer<Running> {
  Tensor forward(const Tensor& x) override {
    if (training()) {
      const NoGrad no_grad;
      mean_.copy_(mean_ * 0.9 + mean(x).reshape({1}) * 0.1 + 1.0);
    }
    return x - mean_;
  }
  Tensor mean_ = zeros({1});
};

// Does not say how many images it has.
data::DataSource uncounted(const NoOptions&) {
  return {{3, 32, 32}, 10, []() -> data::Splits { fail("not called"); }};
}

void register_own() {
  static const bool once = [] {
    register_builtin();
    data::DataRegistry::add<NoOptions>("uncounted", "images", uncounted);
    nn::LayerRegistry::add<NoOptions>("fours", "wants fours in training",
                                      [](const NoOptions&, const Shape&) { return std::make_unique<Fours>(); });
    nn::LayerRegistry::add<GhostOptions>(
        "ghost", "takes fours", [](const GhostOptions& options, const Shape&) { return std::make_unique<Ghost>(options); });
    nn::LayerRegistry::add<BoomOptions>(
        "boom", "fails", [](const BoomOptions& options, const Shape&) { return std::make_unique<Boom>(options); });
    nn::LayerRegistry::add<ManyOptions>(
        "many", "takes many", [](const ManyOptions& options, const Shape&) { return std::make_unique<Many>(options); });
    nn::ModelRegistry::add<NoOptions>(
        "whole", "a ghost in one's own model", [](const NoOptions&, const Shape&, int64_t classes) {
          auto net = std::make_unique<nn::Sequential>();
          net->append(std::make_unique<nn::Flatten>());
          net->append(std::make_unique<Ghost>(GhostOptions{}));
          net->append(std::make_unique<nn::Linear>(3 * 32 * 32, nn::LinearOptions{.out_features = classes}));
          return net;
        });
    nn::LayerRegistry::add<NoOptions>("running", "keeps a mean",
                                      [](const NoOptions&, const Shape&) { return std::make_unique<Running>(); });
    return true;
  }();
  static_cast<void>(once);
}

ExperimentConfig config_with(const std::string& data, const std::string& layers, int64_t batch_size) {
  register_own();
  const std::string text = R"({"data": {)" + data + (batch_size ? fmt::format(R"(, "batch_size": {})", batch_size) : "") + R"(},
    "model": {"type": "network", "layers": [{"type": "flatten"}, )" +
                           layers + R"({"type": "linear", "out_features": 10}]}, "optimizer": {"type": "sgd", "lr": 0.1}})";
  return config::parse<ExperimentConfig>(config::parse_text(text, "exp.json"));
}

// Of drawings, 12 of them for the test.
ExperimentConfig config_of(int64_t images, const std::string& layers, int64_t batch_size, const std::string& more = "") {
  return config_with(fmt::format(R"("type": "shapes", "train_images": {}, "test_images": 12{})", images, more), layers,
                     batch_size);
}

std::string refusal(const ExperimentConfig& config, TriedBatches* tried = nullptr) {
  try {
    const Blueprint blueprint(config, Purpose::training, tried);
  } catch (const Error& error) {
    CHECK(error.code() == Exit::config);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a layer that wants batches of some size is asked with the sizes that will come") {
  const auto said = [](int64_t images, int64_t batch_size, const std::string& more = "") {
    return refusal(config_of(images, R"({"type": "fours"}, )", batch_size, more));
  };
  CHECK(said(20, 4) == "");
  CHECK(said(22, 4, R"(, "drop_last": true)") == "");
  CHECK(said(22, 4) ==
        "exp.json:1:10: data.drop_last: the last batch of an epoch has 2 of 22 images, and the network cannot be trained on "
        "that: 1: fours: 2 images are no whole number of fours; set it to true, or choose a batch_size that leaves more");
  CHECK(said(60, 6) ==
        "exp.json:2:66: model.layers.1: in training, on a batch of 6 images: 1: fours: 6 images are no whole number of fours");
}

TEST_CASE("where a layer is one's own, every size of batch that will come is tried, wherever the layer stands") {
  const std::string ghost = R"({"type": "ghost"})", drop_last = R"(, "drop_last": true)";
  for (const std::string& layers :
       {ghost, R"({"type": "sequential", "layers": [)" + ghost + "]}", R"({"type": "residual", "body": [)" + ghost + "]}",
        R"({"type": "residual", "body": [{"type": "relu"}], "shortcut": [)" + ghost + "]}"}) {
    CAPTURE(layers);
    const auto said = [&](int64_t images, int64_t batch_size, const std::string& more = "") {
      return refusal(config_of(images, layers + ", ", batch_size, more));
    };
    CHECK(said(36, 8) == "");  // 4 * 8 + 4
    CHECK(said(38, 8, drop_last) == "");
    CHECK(said(35, 8) == "");  // 3 are as good as 2
    const std::string last = said(38, 8), full = said(60, 6);
    CHECK(
        last.starts_with("exp.json:1:10: data.drop_last: the last batch of an epoch has 6 of 38 images, and the network "
                         "cannot be trained on that: "));
    CHECK(last.ends_with("ghost: 6 images; set it to true, or choose a batch_size that leaves another number"));
    CHECK(full.find("in training, on a batch of 6 images: 1") != std::string::npos);
    CHECK(full.ends_with("ghost: 6 images"));
  }
  CHECK(refusal(config_of(38, ghost + ", ", 8, R"(, "subset": 36)")) == "");

  const auto evaluated = [](int64_t batch_size, const std::string& more = "") {
    return refusal(config_of(40, R"({"type": "ghost", "in_evaluation": true}, )", batch_size, more));
  };
  CHECK(evaluated(8) == "");   // 8 and 4 of the 12
  CHECK(evaluated(12) == "");  // all of them, and 4 in training
  CHECK(evaluated(6, drop_last).starts_with("exp.json:2:66: model.layers.1: in evaluation, on 6 images of the test part: 1: "));
  CHECK(evaluated(8, R"(, "validation": 6)").find("in evaluation, on 6 images of the validation part: 1: ghost: 6 images") !=
        std::string::npos);

  const auto whole = [](int64_t images) {
    ExperimentConfig config = config_of(images, "", 8);
    config.model = config::Component<nn::ModelRegistry>("whole");
    return refusal(config);
  };
  CHECK(whole(36) == "");
  CHECK(whole(38).find("the last batch of an epoch has 6 of 38 images") != std::string::npos);

  // Too little memory for it is not for preflight to tell: it may be trained elsewhere.
  CHECK(refusal(config_of(40, R"({"type": "ghost", "floats": 1000000000000000}, )", 8)) == "");
}

TEST_CASE("a layer that does not take one image is built on as many as it takes, of those that a batch has or 2, 4 ... 64") {
  // As many images in the test part as in a batch.
  const auto config = [](const std::string& layers, int64_t batch_size) {
    return config_with(
        fmt::format(R"("type": "shapes", "train_images": {}, "test_images": {})", 2 * batch_size, 2 * batch_size),
        layers + ", ", batch_size);
  };
  for (const char* many : {R"({"type": "many", "least": 2})", R"({"type": "many", "least": 4})",
                           R"({"type": "many", "multiple": 2})", R"({"type": "many", "exactly": 8})"}) {
    for (const std::string& layers : {std::string(many), fmt::format(R"({{"type": "sequential", "layers": [{}]}})", many),
                                      fmt::format(R"({{"type": "residual", "body": [{{"type": "relu"}}, {}]}})", many)}) {
      CAPTURE(layers);
      CHECK(refusal(config(layers, 8)) == "");
    }
  }
  CHECK(refusal(config(R"({"type": "many", "multiple": 3})", 6)) == "");
  CHECK(refusal(config(R"({"type": "many", "least": 100})", 100)) == "");
  CHECK(refusal(config(R"({"type": "many", "least": 100})", 12)) ==
        "exp.json:2:66: model.layers.1: Many: not of that many; it was tried with 1, 2, 4, 8, 12, 16, 32, 64 samples");
  // What is no matter of their number is told as ever.
  const std::string flat = refusal(config(R"({"type": "many", "exactly": 8}, {"type": "conv2d", "out_channels": 2})", 8));
  CHECK(test::has(flat, ": model.layers.2: "));
  CHECK_FALSE(test::has(flat, "tried"));

  // What is told of an image is the same however many were needed.
  const auto rows = [&](const std::string& layers) {
    const Blueprint blueprint(config(layers, 8));
    return summarize(blueprint);
  };
  const nn::Summary one = rows(R"({"type": "many"})"), eight = rows(R"({"type": "many", "exactly": 8})");
  CHECK(one.table() == eight.table());
  CHECK(one.multiply_adds == 3 * 32 * 32 * 10);
  CHECK(eight.rows.back().output == Shape{1, 10});
}

TEST_CASE("where all layers are built in, two images stand for more") {
  struct Sizes : nn::Observer {
    void before(const nn::Module&, const Tensor& x) override { all.insert(x.size(0)); }
    std::set<int64_t> all;
  };
  const auto tried = [](const std::string& layers) {
    const ExperimentConfig config = config_of(38, layers, 8);
    Sizes sizes;
    const nn::Observe observe(sizes);
    const Blueprint blueprint(config);
    return sizes.all;
  };
  CHECK(tried(R"({"type": "batch_norm"}, {"type": "residual", "body": [{"type": "relu"}]}, )") == std::set<int64_t>{1, 2});
  CHECK(tried(R"({"type": "residual", "body": [{"type": "boom", "mode": ""}]}, )") == std::set<int64_t>{1, 2, 4, 6, 8});
}

TEST_CASE("what a layer throws in a batch that is tried has the place of the layer") {
  const auto said = [](const char* mode) {
    const std::string layers = fmt::format(R"(
      {{"type": "sequential", "layers": [
        {{"type": "boom", "mode": "{}"}}]}},
      )",
                                           mode);
    return refusal(config_of(20, layers, 4));
  };
  CHECK(said("training") ==
        "exp.json:4:9: model.layers.1.layers.0: in training, on a batch of 4 images: 1.0: Boom: in training");
  CHECK(said("evaluation") ==
        "exp.json:4:9: model.layers.1.layers.0: in evaluation, on 4 images of the test part: 1.0: Boom: in evaluation");

  // What was tried before, of a layer that stands elsewhere, is told with the place of this one.
  TriedBatches tried;
  const auto again = [&](const std::string& indent) {
    return refusal(config_of(20, indent + R"({"type": "boom", "mode": "training"}, )", 2), &tried);
  };
  CHECK(again("").starts_with("exp.json:2:66: model.layers.1: in training"));
  CHECK(again("   ").starts_with("exp.json:2:69: model.layers.1: in training"));
}

TEST_CASE("a layer that keeps state which is no buffer is named in a note") {
  const auto notes = [](const std::string& layers) { return Blueprint(config_of(20, layers, 4)).notes; };
  const std::vector<std::string> found = notes(R"({"type": "running"}, )");
  REQUIRE(found.size() == 1);
  CHECK(found[0].starts_with("model: 1 (Running) keeps something beside its parameters and buffers that training changes"));
  const Blueprint looked_at(config_of(20, R"({"type": "running"}, )", 4));
  CHECK(dynamic_cast<const Running&>(looked_at.model->module("1")).mean_.item() == 0);  // what was found out changed nothing
  CHECK(notes(R"({"type": "batch_norm"}, {"type": "dropout"}, )").empty());
  // Batches of two are not for every network.
  CHECK(notes(R"({"type": "fours"}, )").empty());
  CHECK(notes(R"({"type": "fours"}, {"type": "running"}, )").size() == 1);

  // Nor is it for every data set to say how many images it has.
  const auto uncounted_notes = [](const std::string& layers) {
    return Blueprint(config_with(R"("type": "uncounted")", layers, 0)).notes;
  };
  const std::vector<std::string> both = uncounted_notes(R"({"type": "running"}, )");
  REQUIRE(both.size() == 2);
  CHECK(both[0] == found[0]);
  CHECK(uncounted_notes(R"({"type": "batch_norm"}, )").size() == 1);
  CHECK(uncounted_notes(R"({"type": "fours"}, )").size() == 1);
}
