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

  // Each layer made is run on zeros once, so that an input it cannot take is reported at the layer's place in the file.
  template <class O, class Factory> static void add(const std::string& name, const std::string& description, Factory factory) {
    Registry::add<O>(name, description, [factory](const O& options, const Shape& input) -> ModulePtr {
      ModulePtr layer = factory(options, input);
      output_shape(*layer, input);
      return layer;
    });
  }
};

// The models JSON can name. A factory takes (options, input shape as above, number of classes) and gives a module from images
// [n,c,h,w] to logits [n,classes].
struct ModelRegistry : config::Registry<ModelRegistry, ModulePtr, const Shape&, int64_t> {
  static constexpr const char* kind = "model";
};

using LayerList = std::vector<config::Component<LayerRegistry>>;

// The layers one after the other, each made for the output of the one before.
Sequential build(const LayerList& layers, const Shape& input);

}  // namespace az::nn
