#pragma once

#include "nn/registry.h"

namespace az::nn {

// Make the layers of nn/layers and the models of nn/models known to JSON. May be called more than once.
void register_builtin_layers();
void register_builtin_models();

}  // namespace az::nn
