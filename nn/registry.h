#pragma once

#include "core/config/registry.h"
#include "nn/layers/sequential.h"
#include "nn/module.h"
#include "nn/summary.h"

namespace az::nn {

// The layers JSON can name. A factory takes (options, input shape with one sample, [1,c,h,w] or [1,c]) and gives a ModulePtr:
//   LayerRegistry::add<ScaleOptions>("scale", "one factor a channel", [](const ScaleOptions& o, const Shape& input) { ... });
struct LayerRegistry : config::Registry<LayerRegistry, ModulePtr, const Shape&> {
  static constexpr const char* kind = "layer";

  static void register_builtin();
  // Each layer made is run on zeros, so that an input it cannot take is reported at the layer's place in the file.
  static void check(const ModulePtr& layer, const Shape& input) { output_shape(*layer, input); }
};

// The models JSON can name. A factory takes (options, input shape as above, number of classes) and gives a module from images
// [n,c,h,w] to logits [n,c], c being the number of classes or more.
struct ModelRegistry : config::Registry<ModelRegistry, ModulePtr, const Shape&, int64_t> {
  static constexpr const char* kind = "model";
  static void register_builtin();
};

using LayerList = std::vector<config::Component<LayerRegistry>>;

// The layers one after the other, each made for the output of the one before.
Sequential build(const LayerList& layers, const Shape& input);

}  // namespace az::nn
