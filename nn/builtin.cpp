#include "nn/builtin.h"

#include <mutex>

#include "nn/layers/activations.h"
#include "nn/layers/batch_norm.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/cosine_linear.h"
#include "nn/layers/dropout.h"
#include "nn/layers/flatten.h"
#include "nn/layers/group_norm.h"
#include "nn/layers/layer_norm.h"
#include "nn/layers/linear.h"
#include "nn/layers/pooling.h"
#include "nn/layers/residual.h"
#include "nn/layers/scale.h"
#include "nn/layers/weight_norm.h"
#include "nn/layers/whitening.h"
#include "nn/models/network.h"
#include "nn/models/resnet.h"

namespace az::nn {

namespace {

struct NoOptions {
  static void fields(auto&) {}
};

struct SequentialOptions {
  LayerList layers;
  static void fields(auto& f) { f("layers", &SequentialOptions::layers, "layers, first to last", config::required()); }
};

struct ResidualOptions {
  LayerList body, shortcut;
  std::string activation = "relu";
  static void fields(auto& f) {
    f("body", &ResidualOptions::body, "layers of the main path", config::required());
    f("shortcut", &ResidualOptions::shortcut, "layers of the other path; none: the input itself");
    f("activation", &ResidualOptions::activation, "applied to the sum", config::one_of({"relu", "none"}));
  }
};

struct WeightNormOptions {
  config::Component<LayerRegistry> layer;
  static void fields(auto& f) { f("layer", &WeightNormOptions::layer, "with a weight: conv2d or linear", config::required()); }
};

// Channels or features, behind the batch axis.
int64_t channels(const Shape& input) {
  if (input.rank() < 2) fail("input {} has no channels", input.str());
  return input[1];
}

int64_t features(const Shape& input) {
  if (input.rank() != 2) fail("linear: takes [n,c], got {}; put flatten or global_avg_pool before it", input.str());
  return input[1];
}

template <class M> void add_plain(const char* name, const char* description) {
  LayerRegistry::add<NoOptions>(name, description, [](const NoOptions&, const Shape&) { return std::make_unique<M>(); });
}

template <class M, class O> void add_by_options(const char* name, const char* description) {
  LayerRegistry::add<O>(name, description, [](const O& o, const Shape&) { return std::make_unique<M>(o); });
}

template <class M, class O> void add_by_channels(const char* name, const char* description) {
  LayerRegistry::add<O>(name, description,
                        [](const O& o, const Shape& input) { return std::make_unique<M>(channels(input), o); });
}

ModulePtr make_batch_norm(const BatchNormOptions& o, const Shape& input) {
  if (input.rank() == 2) return std::make_unique<BatchNorm1d>(input[1], o);
  return std::make_unique<BatchNorm2d>(channels(input), o);
}

void add_layers() {
  const config::BuiltIn built_in;
  add_by_channels<Conv2d, Conv2dOptions>("conv2d", "2-D convolution");
  LayerRegistry::add<BatchNormOptions>("batch_norm", "normalises each channel by its batch, 1-D or 2-D", make_batch_norm);
  add_by_channels<GroupNorm, GroupNormOptions>("group_norm", "normalises groups of channels, sample by sample");
  LayerRegistry::add<LayerNormOptions>("layer_norm", "normalises each sample",
                                       [](const LayerNormOptions& o, const Shape& input) {
                                         return std::make_unique<LayerNorm>(Shape(input.begin() + 1, input.end()), o);
                                       });
  LayerRegistry::add<LinearOptions>("linear", "fully connected", [](const LinearOptions& o, const Shape& input) {
    return std::make_unique<Linear>(features(input), o);
  });
  LayerRegistry::add<CosineLinearOptions>(
      "cosine_linear", "cosines of the input and each row of a weight, scaled",
      [](const CosineLinearOptions& o, const Shape& input) { return std::make_unique<CosineLinear>(features(input), o); });
  LayerRegistry::add<WeightNormOptions>(
      "weight_norm", "a layer with weight g v / ||v||, row by row",
      [](const WeightNormOptions& o, const Shape& input) { return std::make_unique<WeightNorm>(o.layer.create(input)); });
  add_plain<ReLU>("relu", "max(x, 0)");
  add_by_options<LeakyReLU, LeakyReLUOptions>("leaky_relu", "x, times slope below 0");
  add_plain<GELU>("gelu", "x times the normal distribution function of x");
  add_plain<SiLU>("silu", "x times sigmoid(x)");
  add_plain<Tanh>("tanh", "hyperbolic tangent");
  add_plain<Sigmoid>("sigmoid", "1 / (1 + exp(-x))");
  add_by_options<MaxPool2d, Pool2dOptions>("max_pool2d", "largest of each window");
  add_by_options<AvgPool2d, Pool2dOptions>("avg_pool2d", "mean of each window");
  add_plain<GlobalAvgPool>("global_avg_pool", "mean of each channel: [n,c,h,w] to [n,c]");
  add_by_options<Dropout, DropoutOptions>("dropout", "zeroes elements at random in training");
  add_by_options<Scale, ScaleOptions>("scale", "a fixed factor on every element");
  add_by_channels<Whitening, WhiteningOptions>("whitening",
                                               "frozen convolution that makes patches of the training images white");
  add_plain<Flatten>("flatten", "[n,c,h,w] to [n,c*h*w]");
  LayerRegistry::add<SequentialOptions>(
      "sequential", "layers one after the other",
      [](const SequentialOptions& o, const Shape& input) { return std::make_unique<Sequential>(build(o.layers, input)); });
  LayerRegistry::add<ResidualOptions>("residual", "the sum of two paths", [](const ResidualOptions& o, const Shape& input) {
    return std::make_unique<Residual>(build(o.body, input), build(o.shortcut, input), o.activation == "relu");
  });
}

void add_models() {
  const config::BuiltIn built_in;
  using namespace models;
  ModelRegistry::add<CifarResnetOptions>("cifar_resnet", "ResNet-20 to 110 for small images (He et al. 2015, section 4.2)",
                                         cifar_resnet);
  ModelRegistry::add<ResnetOptions>("resnet", "ResNet-18, 34 and 50 (He et al. 2015, section 4.1)", resnet);
  ModelRegistry::add<NetworkOptions>("network", "any list of layers", network);
}

}  // namespace

Sequential build(const LayerList& layers, const Shape& input) {
  Sequential result;
  Shape shape = input;
  for (const auto& layer : layers) {
    ModulePtr made = layer.create(shape);
    shape = output_shape(*made, shape);
    result.append(std::move(made));
  }
  return result;
}

void LayerRegistry::register_builtin() { register_builtin_layers(); }
void ModelRegistry::register_builtin() { register_builtin_models(); }

void register_builtin_layers() {
  static std::once_flag once;
  std::call_once(once, add_layers);
}

void register_builtin_models() {
  register_builtin_layers();  // "network" names them
  static std::once_flag once;
  std::call_once(once, add_models);
}

}  // namespace az::nn
