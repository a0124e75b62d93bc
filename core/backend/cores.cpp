#include "core/backend/cores.h"

#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <vector>

namespace az {
namespace {

constexpr double no_limit = std::numeric_limits<double>::infinity();

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, at);) parts.push_back(part);
  return parts;
}

bool lists(const std::string& names, const char* name) {
  const auto all = split(names, ',');
  return std::find(all.begin(), all.end(), name) != all.end();
}

// mountinfo writes spaces and the like as \040.
std::string unescaped(const std::string& text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool octal = text[i] == '\\' && i + 3 < text.size() &&
                       std::all_of(&text[i + 1], &text[i + 4], [](char c) { return c >= '0' && c < '8'; });
    result += octal ? char(std::stoi(text.substr(i + 1, 3), nullptr, 8)) : text[i];
    if (octal) i += 3;
  }
  return result;
}

// The part of a hierarchy of groups that is visible at a folder: the group `top` and all below it.
struct Mount {
  std::string top, folder;
};

// Where the hierarchy that limits processors is mounted. A line of mountinfo: id, parent, device, top, folder, options, more of
// them, "-", file system, source, its options.
bool find_mount(const std::string& root, bool version2, Mount& found) {
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const auto fields = split(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (dash - fields.begin() < 6 || fields.end() - dash < 4) continue;
    if (version2 ? dash[1] != "cgroup2" : dash[1] != "cgroup" || !lists(dash[3], "cpu")) continue;
    found = {unescaped(fields[3]), unescaped(fields[4])};
    return true;
  }
  return false;
}

// What one group's folder grants.
double limit_of(const std::string& folder, bool version2) {
  std::string quota;
  double period = 0;
  if (version2) {
    std::ifstream(folder + "/cpu.max") >> quota >> period;
  } else {
    std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;
    std::ifstream(folder + "/cpu.cfs_period_us") >> period;
  }
  double microseconds = 0;  // stays 0 for "max", -1 means the same
  std::istringstream(quota) >> microseconds;
  return microseconds > 0 && period > 0 ? microseconds / period : no_limit;
}

// The least limit from `group` up to the topmost group that can be seen.
double least_limit(const std::string& root, bool version2, const std::string& group) {
  Mount mount;
  if (!find_mount(root, version2, mount)) return no_limit;
  const std::string top = mount.top == "/" ? "" : mount.top;
  const bool below = group.compare(0, top.size(), top) == 0 && (group.size() == top.size() || group[top.size()] == '/');
  // A group that is not below the mount's, as containers show it, is seen as the mount itself.
  std::string path = below ? group.substr(top.size()) : "";
  double least = no_limit;
  for (;; path.erase(path.rfind('/'))) {
    least = std::min(least, limit_of(root + mount.folder + path, version2));
    if (path.find('/') == std::string::npos) return least;
  }
}

}  // namespace

double granted_cores(const std::string& root) {
  double least = no_limit;
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // number:controllers:group; version 2 has no controllers
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (controllers.empty() || lists(controllers, "cpu"))
      least = std::min(least, least_limit(root, controllers.empty(), line.substr(second + 1)));
  }
  return least;
}

// Rounded up: under a limit of 1.5 cores, two threads are 1.5 times as fast as one.
int Cores::threads() const { return std::max(1, int(std::ceil(std::min(double(allowed), granted)))); }

std::vector<int> allowed_cores() {
  std::vector<int> result;
  for (int place = 0; place < omp_get_num_places(); ++place) {  // none unless OpenMP binds threads
    std::vector<int> cores_of_place(size_t(omp_get_place_num_procs(place)));
    omp_get_place_proc_ids(place, cores_of_place.data());
    result.insert(result.end(), cores_of_place.begin(), cores_of_place.end());
  }
  cpu_set_t mask;
  if (!result.empty() || ::sched_getaffinity(0, sizeof mask, &mask) != 0) return result;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &mask)) result.push_back(core);
  }
  return result;
}

// OpenMP counts the allowed cores as it is loaded, before it binds a thread to any of them itself.
Cores cores() {
  return {
      .online = std::max(1, int(::sysconf(_SC_NPROCESSORS_ONLN))), .allowed = omp_get_num_procs(), .granted = granted_cores()};
}

}  // namespace az
