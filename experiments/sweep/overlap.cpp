#include "experiments/sweep/overlap.h"

#include <fmt/core.h>

namespace az::experiments {
namespace {

using By = GivenKey::By;

bool is_part(const std::string& key, const std::string& whole) { return key.starts_with(whole + "."); }

bool clash(const GivenKey& first, const GivenKey& second) {
  const bool wider = is_part(first.key, second.key), narrower = is_part(second.key, first.key), same = first.key == second.key;
  const bool in_one_object = first.by == second.by && first.by != By::command_line;
  const bool of_grid = first.by == By::grid || (second.by == By::grid && (same || first.by == By::set));
  return wider || ((narrower || same) && (in_one_object || of_grid));
}

}  // namespace

void check_overlaps(const std::vector<GivenKey>& keys) {
  for (size_t i = 1; i < keys.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const GivenKey &first = keys[j], &second = keys[i];
      if (!clash(first, second)) continue;
      const std::string what = first.key == second.key          ? "is given"
                               : is_part(first.key, second.key) ? fmt::format("replaces {}, which is given", first.key)
                                                                : fmt::format("is a part of {}, which is given", first.key);
      fail_at(second.position, second.path, fmt::format("{} at {}, too; keep one of the two", what, first.position.text()));
    }
  }
}

}  // namespace az::experiments
