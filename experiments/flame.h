#pragma once

#include <string>

#include "experiments/bench.h"

namespace az::experiments {

// The parts of a step as an SVG picture that stands alone: the step on top, below it its phases, the modules inside one
// another, and the ops; as wide as the time they take. Pointing at a box shows its time and share.
std::string flame_svg(const BenchReport& report);
// What stands near the beginning of each such picture, and of no other file.
inline constexpr const char* flame_mark = "<metadata>azimuth bench</metadata>";

}  // namespace az::experiments
