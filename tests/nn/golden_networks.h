#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/safetensors.h"
#include "nn/models/resnet.h"

namespace az::test {

// A network whose goldens lie in tests/golden/NAME.safetensors.
struct GoldenNetwork {
  std::string name;
  nn::ModulePtr (*make)();

  std::map<std::string, Tensor> goldens() const { return read_safetensors("tests/golden/" + name + ".safetensors").tensors; }

  // In train mode, with the golden's weights to start from.
  nn::ModulePtr start(const std::map<std::string, Tensor>& goldens, DType type) const {
    nn::ModulePtr net = make();
    net->load_state(part(goldens, "start/"));
    net->to(type);
    return net;
  }

  // The entries below `prefix`, by the rest of their names.
  static std::map<std::string, Tensor> part(const std::map<std::string, Tensor>& goldens, const std::string& prefix) {
    std::map<std::string, Tensor> found;
    for (const auto& [name, tensor] : goldens) {
      if (name.starts_with(prefix)) found[name.substr(prefix.size())] = tensor;
    }
    return found;
  }
};

inline std::vector<GoldenNetwork> golden_networks() {
  return {{"resnet20_a", [] { return models::cifar_resnet({.depth = 20, .shortcut = "A", .width = 8}); }},
          {"resnet20_b", [] { return models::cifar_resnet({.depth = 20, .shortcut = "B", .width = 8}); }},
          {"resnet18", [] { return models::resnet({.depth = 18, .width = 4}); }}};
}

}  // namespace az::test
