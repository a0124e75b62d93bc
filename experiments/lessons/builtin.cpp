#include "experiments/lessons/builtin.h"

#include <fmt/core.h>

#include "core/base/error.h"
#include "core/config/nearest.h"

namespace az::experiments {

const std::vector<Lesson>& lessons() {
  static const std::vector<Lesson> all = {momentum_lesson(),       rosenbrock_lesson(),    resnet_lesson(),
                                          equilibrium_lesson(),    learning_rate_lesson(), invariance_lesson(),
                                          renormalization_lesson()};
  return all;
}

const Lesson& find_lesson(const std::string& name) {
  std::vector<std::string> names;
  for (const Lesson& lesson : lessons()) {
    if (lesson.name == name) return lesson;
    names.push_back(lesson.name);
  }
  throw ConfigError(
      fmt::format("there is no lesson \"{}\"{}; `azimuth lesson` lists them", name, config::did_you_mean(name, names)));
}

}  // namespace az::experiments
