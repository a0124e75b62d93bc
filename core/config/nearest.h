#pragma once

#include <optional>
#include <string>
#include <vector>

namespace az::config {

// The candidate that `word` most likely stands for: equal but for case, - and _; a few typing errors away; its initials or the
// word's (lr, learning_rate); or the only one of which the word is a part (batch of batch_size). None where all are far.
std::optional<std::string> nearest(const std::string& word, const std::vector<std::string>& candidates);

// `; did you mean "momentum"?` for the nearest candidate, or "".
std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates);

// `"a", "b", "c"`.
std::string quoted_list(const std::vector<std::string>& words);

}  // namespace az::config
