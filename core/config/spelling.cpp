#include "core/config/spelling.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>

#include "core/base/ascii.h"

namespace az::config {
namespace {

// Returns the text with a plain minus for each dash of print: the hyphens, the dashes, the minus sign, and the wide one.
std::string with_plain_minus(std::string text) {
  for (const char* dash : {"\u2010", "\u2011", "\u2012", "\u2013", "\u2014", "\u2212", "\uFE63", "\uFF0D"}) {
    for (size_t at; (at = text.find(dash)) != std::string::npos;) text.replace(at, std::strlen(dash), "-");
  }
  return text;
}

// 0,1 as 0.1; 1,000 and 1,000.5 without the commas, which stand between groups of three digits; 1.000,5 as 1000.5.
std::string with_point(std::string text) {
  const size_t comma = text.rfind(','), point = text.find('.');
  if (comma == std::string::npos) return text;
  const size_t first = text.find(','), digits = text.find_first_of("0123456789");
  const bool groups = digits < first && text[digits] != '0' && first - digits <= 3 && text.size() >= comma + 4 &&
                      !(text.size() > comma + 4 && is_digit(text[comma + 4])) &&
                      std::all_of(text.begin() + int64_t(comma) + 1, text.begin() + int64_t(comma) + 4, is_digit);
  if (point < comma) {
    text[comma] = 'p';
    std::erase(text, '.');
    text[text.find('p')] = '.';
  } else if (groups || first != comma) {
    std::erase(text, ',');
  } else {
    text[comma] = '.';
  }
  return text;
}

// A number as other languages have it: +1, .5, 5., 007, 0x1F, 1_000, 0.1f, 0,1; or with a minus of print.
std::string number_spelling(std::string_view word) {
  std::string text = with_point(with_plain_minus(std::string(word)));
  text.erase(std::remove_if(text.begin(), text.end(), [](char c) { return c == '_' || c == '\''; }), text.end());
  const std::string sign = text.starts_with('-') ? "-" : "";
  if (text.starts_with('-') || text.starts_with('+')) text.erase(0, 1);
  const char base = text.size() > 2 && text[0] == '0' ? to_lower(text[1]) : '\0';
  if (const int radix = base == 'x' ? 16 : base == 'o' ? 8 : base == 'b' ? 2 : 0) {
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data() + 2, text.data() + text.size(), number, radix);
    return error == std::errc() && end == text.data() + text.size() ? sign + std::to_string(number) : "";
  }
  size_t at = 0;
  const auto next_is = [&](std::string_view any) { return at < text.size() && any.find(text[at]) != std::string_view::npos; };
  const auto digits = [&] {
    const size_t start = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    return text.substr(start, at - start);
  };
  std::string whole = digits(), rest;
  if (next_is(".")) {
    ++at;
    const std::string fraction = digits();
    if (whole.empty() && fraction.empty()) return "";
    rest = "." + (fraction.empty() ? "0" : fraction);
  } else if (whole.empty()) {
    return "";
  }
  if (next_is("eE")) {
    rest += text[at++];
    if (next_is("+-")) rest += text[at++];
    const std::string power = digits();
    if (power.empty()) return "";
    rest += power;
  }
  if (next_is("fFdDlL")) ++at;
  if (at != text.size()) return "";
  whole.erase(0, std::min(whole.find_first_not_of('0'), std::max<size_t>(whole.size(), 1) - 1));
  return sign + (whole.empty() ? "0" : whole) + rest;
}

}  // namespace

std::string json_spelling(std::string_view word) {
  const std::string lower = to_lower(std::string(word));
  for (const char* same : {"true", "yes", "on"}) {
    if (lower == same) return "true";
  }
  for (const char* same : {"false", "no", "off"}) {
    if (lower == same) return "false";
  }
  for (const char* same : {"null", "none", "nil", "nullptr", "undefined", "~"}) {
    if (lower == same) return "null";
  }
  return number_spelling(word);
}

}  // namespace az::config
