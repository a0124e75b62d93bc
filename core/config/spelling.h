#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace az::config {

// The character of UTF-8 that starts at an offset: its number in Unicode, and its length; 0 where there is none.
struct Character {
  uint32_t code;
  size_t bytes;
};
Character character_at(std::string_view text, size_t offset);

// The beginning of a text, for a message: so many characters, none of them cut, and "..." where there are more.
std::string excerpt(std::string_view text, size_t characters = 60);

// How JSON writes what a word means in another language: true for True, 0.1 for .1, null for None; "" where it has no such thing.
std::string json_spelling(std::string_view word);

}  // namespace az::config
