#include "core/config/word_error.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "core/base/ascii.h"
#include "core/base/utf8.h"
#include "core/config/nearest.h"
#include "core/config/spelling.h"

namespace az::config {
namespace {

bool is_fraction(uint32_t code) { return (code >= 0xBC && code <= 0xBE) || (code >= 0x2150 && code <= 0x215E); }

// Digits of other scripts: Arabic, Persian, Devanagari, and the wide ones.
bool is_other_digit(uint32_t code) {
  const auto ten_from = [code](uint32_t zero) { return code >= zero && code < zero + 10; };
  return ten_from(0x660) || ten_from(0x6F0) || ten_from(0x966) || ten_from(0xFF10);
}

// ${NAME} as others write it: %NAME%, <name>, @name@; and what YAML has for it, &name, *name, !name.
bool is_placeholder(const std::string& word) {
  return word.size() > 1 && std::strchr("%<@&*!", word[0]) && (is_letter(word[1]) || word[1] == '_');
}

// math.pi, but also file.txt.
bool is_dotted_name(const std::string& word) {
  return is_letter(word[0]) && word.find('.') != std::string::npos &&
         std::all_of(word.begin(), word.end(), [](char c) { return is_letter(c) || is_digit(c) || c == '_' || c == '.'; });
}

}  // namespace

std::string no_value(const std::string& shown) {
  return shown + " is no value; write a number, true, false, null, text in double quotes, [ or {";
}

std::string with_article(const std::string& noun) { return (std::strchr("aeiou", noun[0]) ? "an " : "a ") + noun; }

bool is_not_finite(const std::string& word) {
  const std::string name = to_lower(word.substr(std::min(word.find_first_not_of("+-."), word.size())));
  return name == "nan" || name == "inf" || name == "infinity" || name == "\u221E";
}

bool is_arithmetic(const std::string& word) {
  const size_t digit = word.find_first_of("0123456789");
  if (digit == std::string::npos || digit != word.find_first_not_of("+-.") || !is_digit(word.back())) return false;
  const size_t plus = word.find('+', digit);
  return (plus != std::string::npos && is_digit(word[plus - 1])) ||
         word.find_first_of("*/^") != std::string::npos;  // 1e+4 is not
}

std::string word_message(const std::string& word) {
  const std::string spelling = json_spelling(word), shown = excerpt(word);
  if (!spelling.empty() && spelling != word) return fmt::format("JSON writes {}, not {}", excerpt(spelling), shown);
  const size_t behind_signs = std::min(word.find_first_not_of("+-."), word.size());
  const std::string name = to_lower(word.substr(behind_signs));
  if (is_not_finite(word)) return fmt::format("JSON has no {}; write a finite number", shown);
  if (const auto near = nearest(word, {"true", "false", "null"})) return fmt::format("JSON writes {}, not {}", *near, shown);
  const uint32_t first = name.empty() ? 0 : character_at(word, behind_signs).code;
  if (is_arithmetic(word) || is_fraction(first)) return fmt::format("JSON does no arithmetic; write what {} comes to", shown);
  if (is_other_digit(first)) return fmt::format("JSON writes numbers in the digits 0 to 9, not {}", shown);
  if (name.empty() || is_digit(name[0]))
    return fmt::format("{} is no number; JSON writes numbers such as 10, -0.5 and 1e-4, and text in double quotes", shown);
  if (is_placeholder(word)) return no_variables;
  if (is_dotted_name(word))
    return fmt::format("{} is no value; write what it stands for, or text in double quotes: \"{}\"", shown, shown);
  const bool text = is_letter(word[0]) || uint8_t(word[0]) >= 0x80 || std::strchr("_$/.~", word[0]);
  return text ? fmt::format("{} is no value; put text in double quotes: \"{}\"", shown, shown) : no_value(shown);
}

}  // namespace az::config
