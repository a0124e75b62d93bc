#include "core/base/control_groups.h"

#include <algorithm>
#include <array>
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

// What groups limit: the controller's name, and what one group's folder grants.
struct Resource {
  const char* controller;
  double (*limit)(const std::string& folder, bool version2);
};

// Finds where the hierarchy that limits the resource is mounted. A line of mountinfo is: id, parent, device, top, folder,
// options, more of them, "-", file system, source, its options.
bool find_mount(const std::string& root, const Resource& resource, bool version2, Mount& found) {
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const auto fields = split(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (dash - fields.begin() < 6 || fields.end() - dash < 4) continue;
    if (version2 ? dash[1] != "cgroup2" : dash[1] != "cgroup" || !lists(dash[3], resource.controller)) continue;
    found = {unescaped(fields[3]), unescaped(fields[4])};
    return true;
  }
  return false;
}

// The least limit from `group` up to the topmost group that can be seen.
double least_limit(const std::string& root, const Resource& resource, bool version2, const std::string& group) {
  Mount mount;
  if (!find_mount(root, resource, version2, mount)) return no_limit;
  const std::string top = mount.top == "/" ? "" : mount.top;
  const bool below = group.compare(0, top.size(), top) == 0 && (group.size() == top.size() || group[top.size()] == '/');
  // A group that is not below the mount's, as containers show it, is seen as the mount itself.
  std::string path = below ? group.substr(top.size()) : "";
  double least = no_limit;
  for (;; path.erase(path.rfind('/'))) {
    least = std::min(least, resource.limit(root + mount.folder + path, version2));
    if (path.find('/') == std::string::npos) return least;
  }
}

double granted(const std::string& root, const Resource& resource) {
  double least = no_limit;
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // number:controllers:group; version 2 has no controllers
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (controllers.empty() || lists(controllers, resource.controller))
      least = std::min(least, least_limit(root, resource, controllers.empty(), line.substr(second + 1)));
  }
  return least;
}

// The numbers that a file begins with, two at the most; 0 for each that it does not have ("max"), or where there is no file.
std::array<double, 2> numbers_in(const std::string& path) {
  std::array<double, 2> numbers{};
  std::ifstream file(path);
  file.imbue(std::locale::classic());
  file >> numbers[0] >> numbers[1];
  return numbers;
}
double number_in(const std::string& path) { return numbers_in(path)[0]; }

double cores_of(const std::string& folder, bool version2) {
  // Microseconds; a quota of -1 means none.
  const auto [quota, period] =
      version2 ? numbers_in(folder + "/cpu.max")
               : std::array{number_in(folder + "/cpu.cfs_quota_us"), number_in(folder + "/cpu.cfs_period_us")};
  return quota > 0 && period > 0 ? quota / period : no_limit;
}

double memory_of(const std::string& folder, bool version2) {
  const double bytes = number_in(folder + (version2 ? "/memory.max" : "/memory.limit_in_bytes"));
  return bytes > 0 ? bytes : no_limit;
}

}  // namespace

double granted_cores(const std::string& root) { return granted(root, {"cpu", cores_of}); }
double granted_memory(const std::string& root) { return granted(root, {"memory", memory_of}); }

}  // namespace az
