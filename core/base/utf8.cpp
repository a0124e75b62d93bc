#include "core/base/utf8.h"

#include <algorithm>

namespace az {

Character character_at(std::string_view text, size_t offset) {
  const auto byte = [&](size_t i) { return offset + i < text.size() ? uint32_t(uint8_t(text[offset + i])) : 0; };
  const uint32_t first = byte(0);
  if (offset >= text.size()) return {0, 0};
  if (first < 0x80) return {first, 1};
  const size_t bytes = first >= 0xC2 && first < 0xE0 ? 2 : (first & 0xF0) == 0xE0 ? 3 : first >= 0xF0 && first < 0xF5 ? 4 : 0;
  if (bytes == 0) return {0, 0};
  uint32_t code = first & (0x7FU >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {0, 0};
    code = code << 6 | (byte(i) & 0x3F);
  }
  const bool shorter_exists = code < (bytes == 3 ? 0x800U : bytes == 4 ? 0x10000U : 0x80U);
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  return shorter_exists || surrogate || code > 0x10FFFF ? Character{0, 0} : Character{code, bytes};
}

bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t bytes = character_at(text, at).bytes;
    if (bytes == 0) return false;
    at += bytes;
  }
  return true;
}

std::string excerpt(std::string_view text, size_t characters) {
  size_t at = 0;
  for (; characters > 0 && at < text.size(); --characters) at += std::max<size_t>(character_at(text, at).bytes, 1);
  return at < text.size() ? std::string(text.substr(0, at)) + "..." : std::string(text);
}

}  // namespace az
