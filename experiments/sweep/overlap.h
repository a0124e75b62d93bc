#pragma once

#include <string>
#include <vector>

#include "core/config/value.h"

namespace az::experiments {

// A key that a sweep gives its runs.
struct GivenKey {
  std::string key;
  enum class By { set, variant_set, grid, command_line } by;  // later ones are applied over earlier ones
  config::Position position;
  std::string path = "";  // in the sweep file
};

// Throws ConfigError with both places where a run would not be what its name or an earlier key says: keys of one object, or of
// the sweep's "set" and a grid, of which one is the other or a part of it; a grid's key that another gives again, or in part; a
// later key that replaces the whole of which an earlier one gave a part. A grid may vary a part of the whole that a variant's
// "set" gives, and the same key may be given again outside the grid.
void check_overlaps(const std::vector<GivenKey>& keys);

}  // namespace az::experiments
