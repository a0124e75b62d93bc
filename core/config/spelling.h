#pragma once

#include <string>
#include <string_view>

namespace az::config {

// How JSON writes what a word means in another language: true for True, 0.1 for .1, null for None; "" where it has no such
// thing.
std::string json_spelling(std::string_view word);

}  // namespace az::config
