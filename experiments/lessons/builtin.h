#pragma once

#include <vector>

#include "experiments/lessons/lesson.h"

namespace az::experiments {

// Each lies in the folder of its name.
Lesson momentum_lesson();
Lesson rosenbrock_lesson();
Lesson resnet_lesson();
Lesson equilibrium_lesson();
Lesson learning_rate_lesson();
Lesson invariance_lesson();
Lesson renormalization_lesson();

// All of them, in the order to take them.
const std::vector<Lesson>& lessons();
// Throws ConfigError with the nearest name.
const Lesson& find_lesson(const std::string& name);

}  // namespace az::experiments
