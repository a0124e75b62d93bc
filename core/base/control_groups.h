#pragma once

#include <string>

// What the control groups of this process let it use; infinity where there is no limit. The least limit between the process's
// own group and the topmost one that can be seen counts, in version 1 or 2 of control groups. Reads /proc/self/cgroup,
// /proc/self/mountinfo and the groups' files, all below `root`.
namespace az {

// Cores: 0.5 for half of one.
double granted_cores(const std::string& root = "");
// Bytes of memory, page cache included.
double granted_memory(const std::string& root = "");

}  // namespace az
