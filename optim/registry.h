#pragma once

#include <memory>
#include <vector>

#include "core/config/registry.h"
#include "core/tensor/parameter.h"

namespace az::optim {

class Optimizer;

// The optimizers JSON can name ("sgdp"), alone or in a group of another's parameters. A factory takes (options, parameters).
struct OptimizerRegistry : config::Registry<OptimizerRegistry, std::unique_ptr<Optimizer>, const std::vector<Parameter>&> {
  static constexpr const char* kind = "optimizer";
  static void register_builtin();
};

}  // namespace az::optim
