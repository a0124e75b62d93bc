#pragma once

#include <map>
#include <string>

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
std::string algorithms_to_json(const Algorithms& algorithms);
// The choices in such a text, wherever they were made. Throws Error when it is damaged.
Algorithms algorithms_from_json(const std::string& text);

}  // namespace az
