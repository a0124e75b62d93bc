#include "core/base/cache_folder.h"

#include <cstdlib>

namespace az {

// The base directory specification asks to ignore a relative XDG_CACHE_HOME.
std::filesystem::path cache_folder() {
  std::filesystem::path cache;
  if (const char* given = std::getenv("XDG_CACHE_HOME")) cache = given;
  if (!cache.is_absolute()) {
    const char* home = std::getenv("HOME");
    std::error_code unknown;
    if (!home || !*home || !std::filesystem::exists(home, unknown)) return {};
    cache = std::filesystem::path(home) / ".cache";
  }
  return cache / "azimuth";
}

}  // namespace az
