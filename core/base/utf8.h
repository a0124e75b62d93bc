#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace az {

// The character of UTF-8 that starts at an offset: its number in Unicode, and its length; 0 where there is none.
struct Character {
  uint32_t code;
  size_t bytes;
};
Character character_at(std::string_view text, size_t offset);

bool is_utf8(std::string_view text);

// The beginning of a text, for a message: so many characters, none of them cut, and "..." where there are more.
std::string excerpt(std::string_view text, size_t characters = 60);

}  // namespace az
