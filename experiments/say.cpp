#include "experiments/say.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "core/base/ascii.h"

namespace az::experiments {

void print_to_stderr(const std::string& text) {
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
}

std::string quoted(const std::string& word) {
  const auto plain = [](char c) { return is_letter(c) || is_digit(c) || std::strchr("-_./=,:+@%", c); };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return word;
  std::string result = "'";
  for (char c : word) result += c == '\'' ? "'\\''" : std::string(1, c);
  return result + "'";
}

}  // namespace az::experiments
