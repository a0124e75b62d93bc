// Networks from JSON: inferred sizes, the layer table, and errors with their place in the file.
#include <doctest/doctest.h>

#include "core/autograd/autograd.h"
#include "core/config/json_document.h"
#include "core/tensor/create.h"
#include "nn/builtin.h"
#include "nn/models/resnet.h"
#include "nn/summary.h"

using namespace az;

namespace {

nn::ModulePtr model(const std::string& json, const Shape& input = {1, 3, 32, 32}, int64_t classes = 10) {
  nn::register_builtin_models();
  return config::parse<config::Component<nn::ModelRegistry>>(config::parse_text(json, "net.json"), "model")
      .create(input, classes);
}

std::string network_error(const std::string& layers) {
  try {
    model("{\"type\": \"network\", \"layers\": [\n" + layers + "]}");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no ConfigError";
}

const char* nested = R"({"type": "network", "layers": [
  {"type": "conv2d", "out_channels": 8, "padding": 1, "bias": false},
  {"type": "batch_norm"},
  {"type": "relu"},
  {"type": "residual",
   "body": [
     {"type": "conv2d", "out_channels": 16, "stride": 2, "padding": 1},
     {"type": "sequential", "layers": [{"type": "group_norm", "groups": 4}, {"type": "silu"}]}],
   "shortcut": [{"type": "avg_pool2d"}, {"type": "conv2d", "out_channels": 16, "kernel": 1}]},
  {"type": "max_pool2d"},
  {"type": "flatten"},
  {"type": "dropout"},
  {"type": "linear", "out_features": 10}
]})";

}  // namespace

TEST_CASE("sizes of inputs are inferred through nested lists") {
  auto net = model(nested, {1, 3, 20, 24});
  std::vector<std::pair<std::string, Shape>> weights;
  for (const Parameter& p : net->parameters()) {
    if (p.name.ends_with("weight")) weights.emplace_back(p.name, p.tensor.shape());
  }
  CHECK(weights == std::vector<std::pair<std::string, Shape>>{{"0.weight", {8, 3, 3, 3}},
                                                              {"1.weight", {8}},
                                                              {"3.body.0.weight", {16, 8, 3, 3}},
                                                              {"3.body.1.0.weight", {16}},
                                                              {"3.shortcut.1.weight", {16, 8, 1, 1}},
                                                              {"7.weight", {10, 16 * 5 * 6}}});
  CHECK((*net)(randn({2, 3, 20, 24})).shape() == Shape{2, 10});
  CHECK(net->training());
}

TEST_CASE("the layer table has each module's output, parameters and multiply-adds") {
  auto net = model(nested, {1, 3, 20, 24});
  net->module("3").eval();
  nn::Summary summary = nn::summarize(*net, {1, 3, 20, 24});
  CHECK(net->training());
  CHECK_FALSE(net->module("3.body.1.0").training());
  CHECK(net->module("1").buffers()[1].second.to_vector<double>() == std::vector<double>(8, 1));  // running_var

  std::map<std::string, nn::Summary::Row> rows;
  for (const auto& row : summary.rows) rows[row.path] = row;
  CHECK(rows.size() == net->modules().size());
  CHECK(rows["0"].multiply_adds == 20 * 24 * 8 * 3 * 9);
  CHECK(rows["0"].parameters == 8 * 3 * 9);
  CHECK(rows["2"].output == Shape{1, 8, 20, 24});
  CHECK(rows["2"].leaf);
  CHECK(rows["3.body.0"].output == Shape{1, 16, 10, 12});
  CHECK(rows["3.shortcut.1"].multiply_adds == 10 * 12 * 16 * 8);
  CHECK(rows["3"].parameters == 0);
  CHECK_FALSE(rows["3"].leaf);
  CHECK(rows["7"].multiply_adds == 10 * 16 * 5 * 6);
  CHECK(rows["7"].description == "Linear(480 -> 10)");
  CHECK(summary.parameters == net->parameter_count());
  CHECK(summary.multiply_adds == 20 * 24 * 8 * 27 + 10 * 12 * 16 * 72 + 10 * 12 * 16 * 8 + 4800);
  CHECK(summary.table().find("3.body.0") != std::string::npos);
  CHECK(summary.table().find(std::to_string(summary.multiply_adds)) != std::string::npos);
}

TEST_CASE("models by name take the data's channels and classes, unless told") {
  CHECK(model(R"({"type": "cifar_resnet"})", {1, 1, 28, 28}, 100)->state().at("fc.weight").shape() == Shape{100, 64});
  CHECK(model(R"({"type": "cifar_resnet"})", {1, 1, 28, 28})->state().at("conv1.weight").shape() == Shape{16, 1, 3, 3});
  CHECK(model(R"({"type": "resnet", "depth": 50, "width": 8, "num_classes": 4})")->state().at("fc.weight").shape() ==
        Shape{4, 256});
  CHECK(model(R"({"type": "cifar_resnet", "depth": 20, "shortcut": "B"})")->parameter_count() ==
        models::cifar_resnet({.depth = 20, .shortcut = "B"})->parameter_count());
}

TEST_CASE("what does not fit is reported at its place in the file") {
  CHECK(network_error("{\"type\": \"conv2d\", \"out_channels\": 8},\n  {\"type\": \"linear\", \"out_features\": 10}") ==
        "net.json:3:3: model.layers.1: linear: takes [n,c], got [1,8,30,30]; put flatten or global_avg_pool before it");
  std::string kernel =
      network_error("{\"type\": \"sequential\", \"layers\": [\n {\"type\": \"conv2d\", \"out_channels\": 8, \"kernel\": 33}]}");
  CHECK(kernel.starts_with("net.json:3:2: model.layers.0.layers.0: conv2d: "));
  CHECK(kernel.find("[1,3,32,32]") != std::string::npos);
  std::string sum =
      network_error("{\"type\": \"residual\", \"body\": [{\"type\": \"conv2d\", \"out_channels\": 8, \"padding\": 1}]}");
  CHECK(sum ==
        "net.json:2:1: model.layers.0: residual: f32 [1,3,32,32] is to be added to f32 [1,8,32,32]; "
        "give the shortcut layers that bring both to one shape and number type");
  CHECK(network_error("{\"type\": \"group_norm\"}") ==
        "net.json:2:1: model.layers.0: GroupNorm: 32 groups do not divide 3 channels");
  CHECK(network_error("{\"type\": \"conv2d\", \"out_channels\": 4, \"groups\": 2}") ==
        "net.json:2:1: model.layers.0: Conv2d: 2 groups do not divide 3 input and 4 output channels");
  CHECK(network_error("{\"type\": \"conv2d\"}").starts_with("net.json:2:1: model.layers.0.out_channels: "));
  CHECK(network_error("{\"type\": \"conv2d\", \"out_channels\": 4, \"kernal\": 2}").find("did you mean \"kernel\"?") !=
        std::string::npos);
  CHECK(network_error("{\"type\": \"batchnorm\"}").find("did you mean \"batch_norm\"?") != std::string::npos);
  CHECK(network_error("{\"type\": \"global_avg_pool\"}, {\"type\": \"linear\", \"out_features\": 9}")
            .find("the last layer gives [1,9], the data's 10 classes need [1,10]") != std::string::npos);
  CHECK_THROWS_WITH_AS(model("{\"type\": \"cifar_resnet\", \"depth\": 21}"),
                       doctest::Contains("net.json:1:35: model.depth: must be one of 20, 32, 44, 56, 110, got 21"),
                       ConfigError);
}
