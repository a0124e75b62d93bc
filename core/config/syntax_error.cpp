#include "core/config/syntax_error.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "core/base/ascii.h"
#include "core/base/utf8.h"
#include "core/config/spelling.h"
#include "core/config/word_error.h"

namespace az::config {
namespace {

using Last = Progress::Last;
enum class Wanted { value, key, colon, comma, end };

bool is_hexadecimal(char c) { return is_digit(c) || (to_lower(c) >= 'a' && to_lower(c) <= 'f'); }

// Quotes of other languages, and of word processors.
bool is_other_quote(uint32_t code) {
  return code == '\'' || code == '`' || code == 0xB4 || code == 0xAB || code == 0xBB || (code >= 0x2018 && code <= 0x201F) ||
         code == 0x2039 || code == 0x203A || (code >= 0x300C && code <= 0x300F) || code == 0xFF02 || code == 0xFF07;
}
bool is_other_space(uint32_t code) {
  return code == 0x0B || code == 0x0C || code == 0x85 || code == 0xA0 || (code >= 0x2000 && code <= 0x200F) || code == 0x2028 ||
         code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x2060 || code == 0x3000 || code == 0xFEFF;
}
// What other scripts have for a mark of JSON's.
const char* plain_mark(uint32_t code) {
  switch (code) {
    case 0xFF0C:
    case 0x3001:
    case 0x060C: return ",";
    case 0xFF1A: return ":";
    case 0xFF3B:
    case 0x3010: return "[";
    case 0xFF3D:
    case 0x3011: return "]";
    case 0xFF5B: return "{";
    case 0xFF5D: return "}";
    default: return nullptr;
  }
}

// What programs have between values: "1 if x else 2".
bool is_operator(const std::string& word) {
  return word == "if" || word == "else" || word == "or" || word == "and" || word == "not" || word == "in" || word == "is" ||
         word == "for" || word == "lambda" || word == "new";
}

class Explanation {
 public:
  explicit Explanation(const Progress& progress) : p_(progress), text_(progress.text), at_(progress.end) {}

  SyntaxError run() {
    if (goes_on()) return value_at(p_.token);
    skip();
    const Wanted wanted = take_separator();
    if (at_ == text_.size()) return at_end();
    if (starts("//") || starts("/*") || starts("#") || starts("<!--") || dashes())
      return here("JSON has no comments; remove this one");
    if (starts("<<<<<<<") || starts("=======") || starts(">>>>>>>"))
      return here("this is the mark of a merge conflict; resolve it and remove the mark");
    const Character c = character_at(text_, at_);
    if (c.bytes == 0) return not_utf8(at_);
    if (is_other_space(c.code))
      return here(fmt::format("the character U+{:04X} looks like a space; write a plain one", c.code));
    if (const char* mark = plain_mark(c.code)) return here(fmt::format("write a plain {} instead of {}", mark, shown(c)));
    if (c.code == '"' && at_ == p_.end && at_ == p_.token + 2 && text_[p_.token] == '"') return {p_.token, one_quote};
    if (starts("'''")) return here(one_quote);
    if (c.code == '"') {
      if (auto broken = broken_string()) return *broken;
    }
    switch (wanted) {
      case Wanted::value: return value(c);
      case Wanted::key: return key(c);
      case Wanted::colon: return colon();
      case Wanted::comma: return comma();
      case Wanted::end: break;
    }
    return end();
  }

 private:
  static constexpr size_t none = std::string_view::npos;
  static constexpr const char* no_expressions = "JSON has no expressions; write the value itself";
  static constexpr const char* one_quote =
      "JSON writes one double quote on each side of a text, and a new line within it as \\n";

  bool starts(std::string_view with) const { return text_.substr(at_).starts_with(with); }
  // A comment of Lua's and SQL's: neither YAML's mark nor a number's signs.
  bool dashes() const {
    const char c = text_.substr(at_).starts_with("--") && at_ + 2 < text_.size() ? text_[at_ + 2] : '-';
    return c != '-' && c != '.' && !is_digit(c);
  }
  char next() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  SyntaxError here(std::string message) const { return {at_, std::move(message)}; }
  SyntaxError not_utf8(size_t at) const {
    return {at, fmt::format("the byte 0x{:02X} is not UTF-8; save the file as UTF-8", uint8_t(text_[at]))};
  }
  std::string shown(const Character& c) const {
    return is_control(text_[at_]) ? fmt::format("the character U+{:04X}", c.code) : std::string(text_.substr(at_, c.bytes));
  }

  // Whether a number or a word that began well goes on: 01, 1_000, truely.
  bool goes_on() const {
    if (p_.last != Last::value || at_ >= text_.size() || !(is_digit(text_[at_ - 1]) || is_letter(text_[at_ - 1]))) return false;
    const char c = text_[at_];
    return is_digit(c) || is_letter(c) || (std::strchr("._+-%*^'", c) && c != '\0') ||
           (c == '/' && !starts("//") && !starts("/*"));
  }

  // Steps over the comma or the colon that may stand between two tokens, and says what is to come then.
  Wanted take_separator() {
    const auto take = [&](char c) {
      if (next() != c) return false;
      separator_ = at_++;
      skip();
      return true;
    };
    switch (p_.last) {
      case Last::nothing: return Wanted::value;
      case Last::opening: return p_.bracket == '{' ? Wanted::key : Wanted::value;
      case Last::key: return take(':') ? Wanted::value : Wanted::colon;
      case Last::value: break;
    }
    if (!p_.bracket) return Wanted::end;
    return !take(',') ? Wanted::comma : p_.bracket == '{' ? Wanted::key : Wanted::value;
  }

  char closing() const { return p_.bracket == '{' ? '}' : ']'; }

  SyntaxError at_end() const {
    if (!p_.bracket) return here("the text ends too early");
    return here(
        fmt::format("the text ends here, but the {} of {} is still open; add a {}", p_.bracket, p_.bracket_place, closing()));
  }

  // What is wrong with a comma or a closing bracket where something else has to stand.
  std::optional<SyntaxError> mark() const {
    const char c = next();
    const bool after_comma = separator_ != none && text_[separator_] == ',';
    if (c == ',' && after_comma) return here("remove one of the two commas");
    if (c == ',' && p_.last == Last::opening) return here("remove the comma: nothing stands before it");
    if (c == closing() && p_.bracket && after_comma) return SyntaxError{separator_, "remove the comma: nothing follows it"};
    if ((c == '}' || c == ']') && p_.bracket && c != closing())
      return here(fmt::format("the {} of {} is open and this {} does not close it; write {}", p_.bracket, p_.bracket_place, c,
                              closing()));
    if ((c == '}' || c == ']') && !p_.bracket) return here(fmt::format("remove this {}: it closes nothing", c));
    if (c == ')' && p_.bracket) return here(fmt::format("write {} instead of )", closing()));
    if (c != ';') return {};
    const size_t behind = text_.find_first_not_of(" \t\r\n", at_ + 1);
    if (behind == none || text_[behind] == closing()) return here("remove the ;: nothing follows it");
    return {};
  }

  SyntaxError value(const Character& c) const {
    if (auto wrong = mark()) return *wrong;
    if (next() == ',' || next() == '}') return {at_, fmt::format("a value is missing before the {}", next()), true};
    if (next() == ':') return here("remove this colon");
    if (!p_.bracket) {
      if (auto other = other_language()) return *other;
    }
    if (auto section = section_name()) return *section;
    if (is_other_quote(c.code)) return {at_, "JSON writes text in straight double quotes: \"" + unquoted() + '"', true};
    if (auto code = program()) return {at_, *code, true};
    return value_at(at_);
  }

  // What is said of a value as programs write them: (1, 2), $NAME, range(3), f"text".
  std::optional<std::string> program() const {
    if (next() == '(') return "JSON has no parentheses; write a list in [ and ], and a number as it is";
    if (next() == '$') return no_variables;
    const std::string word = word_at(at_);
    const char behind = at_ + word.size() < text_.size() ? text_[at_ + word.size()] : '\0';
    const bool is_name =
        std::all_of(word.begin(), word.end(), [](char c) { return is_letter(c) || is_digit(c) || c == '_' || c == '.'; });
    if (behind == '(' && is_name && is_letter(word[0]))
      return fmt::format("JSON calls no functions; write what {}(...) comes to", excerpt(word));
    if (behind == '[' && is_name && is_letter(word[0])) return no_variables;
    if (behind == ' ' && is_operator(word)) return no_expressions;
    const std::string prefix = word.substr(0, word.find('\''));  // f'x' is one word, f"x" begins with one
    const bool quoted = (behind == '"' || prefix.size() < word.size()) && !prefix.empty();
    if (!quoted || prefix.size() > 2 || prefix.find_first_not_of("fFrRbBuUlL@") != none) return {};
    return fmt::format("remove the {} before the quote: JSON has one kind of text, in double quotes", excerpt(prefix));
  }

  SyntaxError key(const Character& c) const {
    if (auto wrong = mark()) return *wrong;
    const bool digits = is_digit(next()) && separator_ == at_ - 1 && separator_ == p_.end && is_digit(text_[p_.end - 1]);
    if (p_.last == Last::value && digits) {
      const std::string whole(text_.substr(p_.token, p_.end - p_.token)), rest = word_at(at_);
      const std::string number = fmt::format("{},{}", whole, rest), spelling = json_spelling(number);
      if (!spelling.empty()) return {p_.token, fmt::format("JSON writes {}, not {}", spelling, number), true};
    }
    if (is_other_quote(c.code)) return here("JSON writes keys in straight double quotes: \"" + unquoted() + '"');
    const std::string word = word_at(at_);
    const size_t inner = text_.find_first_not_of(" \t", at_ + 1), behind = text_.find_first_not_of(" \t", at_ + word.size());
    if (starts("{") && at_ == p_.end && inner != none && is_letter(text_[inner])) return here(no_variables);  // {{ name }}
    if (starts("$")) return here(no_variables);
    if (is_digit(next()) && behind != none && std::strchr(",}", text_[behind]))
      return here("JSON has no sets; write a list in [ and ]");
    if (starts("...") || starts("**")) return here("JSON takes over no keys from elsewhere; write them here");
    if (auto code = program()) return here(*code);
    if (word.empty()) return here(fmt::format("a key in double quotes is missing before {}", shown(c)));
    return here(fmt::format("put the key in double quotes: \"{}\"", excerpt(word)));
  }

  SyntaxError colon() const {
    const std::string before(text_.substr(p_.token + 1, p_.end - p_.token - 2));
    if (before.find_first_of(":,{}[]") != std::string::npos)
      return {p_.token, fmt::format("close this key with a double quote; now it reads \"{}\"", excerpt(before))};
    if (next() == '=') return here(starts("=>") ? "write a colon instead of =>" : "write a colon instead of =");
    if (next() == ',' || next() == '}' || next() == ']')
      return here(fmt::format("the key \"{}\" has no value; write a colon and a value behind it", excerpt(before)));
    return here(fmt::format("put a colon behind the key \"{}\"", excerpt(before)));
  }

  SyntaxError comma() const {
    if (auto wrong = mark()) return *wrong;
    const char c = next();
    if (c == ';') return here("write a comma instead of ;");
    if (c == ':' && p_.bracket == '[' && is_digit(text_[p_.end - 1])) return here("JSON has no ranges; list the values");
    if ((c == ':' || c == '=') && p_.bracket == '[')
      return here("a list holds no keys; put braces around them: [{\"key\": 1}]");
    if (c == ':' || c == '=') return here("this comes after a value; is a comma or a quote missing before it?");
    const bool in_text = at_ == p_.end && text_[p_.end - 1] == '"' && c != '{' && c != '[';
    if (in_text && c != '"')
      return here("the quote before this ended the text; a quote within it is written \\\", parts of a list need commas");
    const std::string word = word_at(at_);
    if (is_operator(word)) return here(no_expressions);
    if (c == '"') return here("put a comma before " + excerpt(text_.substr(at_, string_end() - at_)));
    if (c == '{' || c == '[') return here(fmt::format("put a comma before {}", c));
    if (!word.empty() && word.find_first_not_of("+-*/%^") == none)
      return here(text_[p_.token] == '"' && word == "+" ? "JSON joins no texts; write them as one"
                                                        : "JSON does no arithmetic; write what it comes to");
    if (!word.empty() && !std::strchr("+*/&|!@%^?<>\\", c)) return here("put a comma before " + excerpt(word));
    return here(shown(character_at(text_, at_)) + " means nothing here; remove it");
  }

  SyntaxError end() const {
    const char c = next();
    if (c == ',') return here("remove the comma: nothing follows it");
    if (auto wrong = mark()) return *wrong;
    if (c == ':' && text_[p_.token] == '"') return {p_.token, "put braces around all of it: {\"key\": value, ...}"};
    return here("the JSON text has ended before this; a file holds one object, so remove what follows or put it inside");
  }

  SyntaxError value_at(size_t at) const {
    const std::string word = word_at(at);
    return {at, word.empty() ? no_value(shown(character_at(text_, at))) : word_message(word), true};
  }

  // What stands where JSON has to begin, if it is of another format.
  std::optional<SyntaxError> other_language() const {
    const std::string word = word_at(at_);
    if (starts("<")) return here("this is HTML or XML, not JSON");
    if (starts("---") || starts("- ")) return here("this is YAML, not JSON; JSON begins with {");
    const size_t behind = text_.find_first_not_of(" \t", at_ + word.size());
    const char mark = word.empty() || behind == none ? '\0' : text_[behind];
    if (mark == ':') return here(fmt::format("this is YAML, not JSON; JSON writes {{\"{}\": ...}}", excerpt(word)));
    if (mark == '=') return here(fmt::format("this is not JSON; JSON writes {{\"{}\": ...}}", excerpt(word)));
    if (is_letter(next()) && json_spelling(word).empty() && word_message(word).find("is no value") != none)
      return here("this is not JSON, which begins with {");
    return {};
  }

  // A file that begins with [NAME], alone on its line.
  std::optional<SyntaxError> section_name() const {
    if (text_.find_first_not_of(" \t\r\n[") != at_ || p_.last != Last::opening || !is_letter(next())) return {};
    const std::string name = word_at(at_);
    const size_t behind = text_.find_first_not_of("] \t\r", at_ + name.size());
    if (text_.substr(at_ + name.size(), 1) != "]" || behind == none || text_[behind] != '\n' || !json_spelling(name).empty())
      return {};
    return here(fmt::format("this is INI or TOML, not JSON; JSON writes {{\"{}\": {{...}}}}", excerpt(name)));
  }

  // A run of characters that mean nothing to JSON apart from numbers and words.
  std::string word_at(size_t at) const {
    size_t end = at;
    while (end < text_.size()) {
      const Character c = character_at(text_, end);
      const bool ends = c.bytes == 0 || is_space(text_[end]) || is_control(text_[end]) || is_other_space(c.code) ||
                        plain_mark(c.code) || std::strchr(",:;=[](){}\"", text_[end]) ||
                        (is_other_quote(c.code) && c.code != '\'') || (end == at && c.code == '\'');
      if (ends) break;
      end += c.bytes;
    }
    return std::string(text_.substr(at, end - at));
  }

  // What stands between two quotes of another kind, without them.
  std::string unquoted() const {
    const size_t start = at_ + character_at(text_, at_).bytes;
    size_t end = start;
    while (end < text_.size() && !is_control(text_[end]) && text_[end] != '"') {
      const Character c = character_at(text_, end);
      const size_t behind = text_.find_first_not_of(" \t", end + c.bytes);
      const bool closes = behind == none || std::strchr(",:]}\r\n", text_[behind]);
      if (c.bytes == 0 || (is_other_quote(c.code) && closes)) break;
      end += c.bytes;
    }
    return excerpt(text_.substr(start, end - start));
  }

  size_t string_end() const {
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != '"') end += text_[end] == '\\' ? 2 : 1;
    return std::min(end + 1, text_.size());
  }

  // What is wrong within the string that starts here.
  std::optional<SyntaxError> broken_string() const {
    for (size_t at = at_ + 1; at < text_.size();) {
      const char c = text_[at];
      if (c == '"') return {};
      if (c == '\n' || c == '\r')
        return here("this text is not closed on its line; put a double quote at its end, or write \\n for a new line");
      if (c == '\t') return SyntaxError{at, "a tab in text is written \\t"};
      if (uint8_t(c) < 0x20) return SyntaxError{at, fmt::format("this character in text is written \\u{:04x}", int(c))};
      if (c == '\\') {
        if (auto wrong = broken_escape(at)) return wrong;
        at += text_[at + 1] == 'u' ? 6 : 2;
        continue;
      }
      const size_t bytes = character_at(text_, at).bytes;
      if (bytes == 0) return not_utf8(at);
      at += bytes;
    }
    return here("this text is not closed; put a double quote at its end");
  }

  std::optional<SyntaxError> broken_escape(size_t at) const {
    const char c = at + 1 < text_.size() ? text_[at + 1] : '\0';
    if (c == '\0') return here("this text is not closed; put a double quote at its end");
    if (!std::strchr("\"\\/bfnrtu", c)) {
      const std::string escape =
          is_control(c) ? "\\"
                        : "\\" + std::string(text_.substr(at + 1, std::max<size_t>(character_at(text_, at + 1).bytes, 1)));
      return SyntaxError{at,
                         fmt::format("{} means nothing in text; a backslash is written \\\\{}",
                                     character_at(text_, at + 1).bytes ? escape : "\\", c == '\'' ? ", and ' as it is" : "")};
    }
    if (c != 'u') return {};
    const auto unit = [&](size_t from) -> std::optional<uint32_t> {
      const std::string_view digits = text_.substr(std::min(from, text_.size()), 6);
      if (digits.size() < 6 || !digits.starts_with("\\u") || !std::all_of(digits.begin() + 2, digits.end(), is_hexadecimal))
        return {};
      return uint32_t(std::stoul(std::string(digits.substr(2)), nullptr, 16));
    };
    const auto code = unit(at);
    if (!code) return SyntaxError{at, "\\u takes four hexadecimal digits, as in \\u00e9; a backslash is written \\\\"};
    if (*code < 0xD800 || *code > 0xDFFF) return {};
    const auto second = unit(at + 6);
    const bool pair = *code < 0xDC00 && second && *second >= 0xDC00 && *second <= 0xDFFF;
    if (!pair)
      return SyntaxError{at, fmt::format("{} is half of a character; write the character itself", text_.substr(at, 6))};
    return {};
  }

  const Progress& p_;
  std::string_view text_;
  size_t at_, separator_ = none;
};

}  // namespace

SyntaxError explain(const Progress& progress) { return Explanation(progress).run(); }

SyntaxError explain_whole(std::string_view text) {
  const bool wide = text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF") ||
                    (text.size() >= 2 && (text[0] == '\0') != (text[1] == '\0'));
  if (wide) return {0, "the file is UTF-16; save it as UTF-8"};
  if (const size_t at = text.find('\0'); at != std::string_view::npos)
    return {at, "a zero byte stands here, so this is no text; is it the right file?"};
  if (std::all_of(text.begin(), text.end(), is_space)) return {text.size(), "the file is empty; JSON begins with {"};
  return {0, ""};
}

}  // namespace az::config
