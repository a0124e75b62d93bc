#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"

// How a back end that has several implementations of a problem asks for one; core/backend/tuning.h says how it is chosen.
namespace az {

// A problem and the ways to solve it.
struct Candidates {
  std::string problem;                        // without the number of threads, which is added; like ones may be called alike
  std::string tried = problem;                // the problem to the last size, for which is_right() speaks
  std::vector<std::string> names = {};        // the implementations, no two alike
  size_t competing = names.size();            // so many of them are timed; the rest is for where none of those is right
  size_t by_rule = 0;                         // the one to take without timing
  bool worth_timing = true;                   // otherwise the rule decides, and the choice is not recorded
  std::function<void(size_t)> run = {};       // solves it once by the i-th
  std::function<bool(size_t)> is_right = {};  // whether the i-th solves it; asked once, for all programs with this cache
  std::function<double()> now = steady_seconds;
};
// The index of the candidate to use: of those that are right, wherever a choice comes from; nothing where none is.
std::optional<size_t> choose(const Candidates& candidates);
// Changes when set_algorithms() makes earlier answers of choose() stale.
uint64_t algorithms_generation();

}  // namespace az
