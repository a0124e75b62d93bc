#pragma once

#include <filesystem>

namespace az {

// ${XDG_CACHE_HOME:-~/.cache}/azimuth: what can be had again lies there. Need not exist; empty when neither variable is set.
std::filesystem::path cache_folder();

}  // namespace az
