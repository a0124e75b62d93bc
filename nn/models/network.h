#pragma once

#include "nn/registry.h"

namespace az::models {

// A network as a list of layers, nested at will; sizes of inputs are inferred.
struct NetworkOptions {
  nn::LayerList layers;
  static void fields(auto& f) { f("layers", &NetworkOptions::layers, "layers, first to last", config::required()); }
};
// Throws unless the last layer gives [n,c], with a number c for each class or more.
nn::ModulePtr network(const NetworkOptions& options, const Shape& input, int64_t classes);

}  // namespace az::models
