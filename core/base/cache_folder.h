#pragma once

#include <filesystem>
#include <string>

namespace az {

// ${XDG_CACHE_HOME:-~/.cache}/azimuth: what can be had again lies there. Need not exist; empty where neither
// variable is set, or HOME is not there: accounts without a home have one that is not to be made.
std::filesystem::path cache_folder();
// Says why cache_folder() is empty, and what to do about it.
std::string why_no_cache_folder();

}  // namespace az
