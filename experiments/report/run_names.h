#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "experiments/report/run_data.h"

namespace az::experiments {

// What to call each run: the name in its config where these differ, otherwise the shortest end of its folder's path that no
// other has.
std::vector<std::string> labels_of(const std::vector<RunData>& runs);

// A number for each run, from 0 on, equal for repetitions of one experiment: configs that differ at most in the seed and in
// what is for people, and so do those that the runs went on from.
std::vector<size_t> experiments_of(const std::vector<RunData>& runs);

// Says whether name a comes before b; numbers in them are ordered by size: lr=2 before lr=10.
bool comes_before(std::string_view a, std::string_view b);

}  // namespace az::experiments
