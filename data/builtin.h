#pragma once

#include "data/splits.h"

namespace az::data {

// Registers the data sets and augmentations that come with Azimuth. More than once does no harm.
void register_builtin_data();

}  // namespace az::data
