#pragma once

#include <string>
#include <vector>

namespace az::config {

// `; did you mean "momentum"?` for the candidate a few typing errors away from `word`, or "" when none is that near.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates);

// `"a", "b", "c"`.
std::string quoted_list(const std::vector<std::string>& words);

}  // namespace az::config
