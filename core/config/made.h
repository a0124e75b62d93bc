#pragma once

#include "core/base/error.h"

namespace az::config {

// Base of what registries make: it knows where in a config its component stands, as errors of building it say
// ("exp.json:6:5: data.augment.1"); "" for what is of no config. A copy knows the same.
class Made {
 public:
  const std::string& config_place() const { return config_place_; }
  // Calls f, in which it runs: what is thrown starts with that place.
  template <class F> decltype(auto) located(F&& f) const { return az::located(config_place_, f); }

 private:
  template <class, class, class...> friend class Registry;
  mutable std::string config_place_;  // mutable: registries may give things that are const
};

}  // namespace az::config
