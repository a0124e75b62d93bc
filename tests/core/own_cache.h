#pragma once

#include "core/backend/tuning.h"
#include "tests/data/temporary_folder.h"
#include "tests/scoped_variable.h"

namespace az::test {

// An empty cache folder of its own; afterwards the fixed choice of the other tests again.
struct OwnCache {
  OwnCache() { set_algorithms(AlgorithmChoice::fixed); }
  ~OwnCache() { set_algorithms(AlgorithmChoice::fixed); }
  TemporaryFolder folder;
  ScopedVariable variable{"XDG_CACHE_HOME", folder.path.c_str()};
};

}  // namespace az::test
