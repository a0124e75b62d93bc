#pragma once

#include <string>
#include <vector>

namespace az::experiments {

// What was found of one thing that speed or success depends on.
struct Finding {
  std::string subject, state;
  std::string slower = {};  // what that makes slower; empty: nothing
  std::string remedy = {};  // what to do about it; empty: nothing
};

// The processor, the threads and the libraries, as they are in force.
std::vector<Finding> examine_machine();

}  // namespace az::experiments
