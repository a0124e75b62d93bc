#pragma once

#include "core/config/options.h"

namespace az::config {

// A key that an object does not have. The message names the one that was meant, if it is known here, or else all that are.
struct UnknownKey : PlacedError {
  UnknownKey(const Position& position, const std::string& path, const std::string& key, const std::vector<std::string>& known);
  // Throws with the names of the registry's other components that have the option, where the component at `component_path`, of
  // that type, has not.
  void ask(const RegistryBase& registry, const std::string& type, const std::string& component_path) const;

  Position position;
  std::string path, key;
  std::optional<std::string> near;  // the one of those that are known here that was meant
};

}  // namespace az::config
