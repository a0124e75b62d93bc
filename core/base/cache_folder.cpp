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
    if (!home || !*home || std::filesystem::status(home, unknown).type() == std::filesystem::file_type::not_found) return {};
    cache = std::filesystem::path(home) / ".cache";
  }
  return cache / "azimuth";
}

std::string why_no_cache_folder() {
  const char* home = std::getenv("HOME");
  const std::string why = home && *home ? "HOME, " + std::string(home) + ", is not there" : "HOME is not set";
  return why + ": set XDG_CACHE_HOME to a folder you own";
}

}  // namespace az
