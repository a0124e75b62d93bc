#pragma once

#include <string>
#include <string_view>

namespace az::config {

// How far a reader of JSON came in a text before it met something else.
struct Progress {
  std::string_view text;
  enum class Last { nothing, opening, key, value } last = Last::nothing;  // the last token, or list or object, that was read
  size_t token = 0, end = 0;                                              // where that token starts and ends
  char bracket = '\0';                                                    // the innermost that is open, { or [
  std::string bracket_place = "";                                         // "line 1, column 2"
};

// What is wrong there, in a sentence that says what to do.
struct SyntaxError {
  size_t at;  // an offset: that of the last token, or one behind it
  std::string message;
  bool is_of_value = false;  // of what stands at a value's place
};
SyntaxError explain(const Progress& progress);

// What makes the whole text something else than JSON: it is empty, UTF-16, or no text; no message where that is not so.
SyntaxError explain_whole(std::string_view text);

}  // namespace az::config
