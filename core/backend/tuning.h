#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"

// Where the back end has several implementations of a problem, one of them is chosen: it decides how fast the result comes and
// how it is rounded, nothing else. One that does not solve the problem is never chosen.
namespace az {

// Problem ("forward f32 [128,64,32,32] * [64,64,3,3] ... 2 threads") -> implementation ("jit_wino_4x3:avx512_core").
using Algorithms = std::map<std::string, std::string>;

enum class AlgorithmChoice {
  timed,  // the fastest, when the problem is first met; remembered for this machine in the cache folder, tuning/, unless the
          // machine was too busy to tell
  fixed,  // by a rule written here: equal bits in every run on like machines; nothing is timed
};

// Chooses anew from here on; problems that `known` names take its choice. Without a call: timed. Not while ops run elsewhere.
void set_algorithms(AlgorithmChoice choice, Algorithms known = {});
// What was chosen since, and what was known: given to set_algorithms(), it makes the same choices again.
Algorithms algorithms();
// One sentence on what kept the cache of choices and trials from being used; "" when nothing did.
std::string tuning_note();
// The file that remembers choices made by this version's rule, and which implementations were found right; "" without a cache
// folder. Written at each choice by timing, else once a second and at the end of the program.
std::string tuning_file();

// As indented JSON, with the processor and library they were made on.
std::string to_json(const Algorithms& algorithms);
// The choices in such a text, wherever they were made. Throws Error when it is damaged.
Algorithms algorithms_from_json(const std::string& text);

// For back ends: a problem and the ways to solve it.
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
