#include "core/base/names.h"

#include <algorithm>

#include "core/base/ascii.h"
#include "core/base/error.h"
#include "core/base/utf8.h"

namespace az {
namespace {

std::string fault(std::string_view name, std::string_view without) {
  if (name.empty()) return "is empty";
  if (!is_utf8(name)) return "is not UTF-8";
  if (std::any_of(name.begin(), name.end(), is_control)) return "has a control character";
  if (name.front() == ' ' || name.back() == ' ') return "begins or ends with a space";
  const size_t at = name.find_first_of(without);
  return at == std::string_view::npos ? "" : fmt::format("has a \"{}\"", name[at]);
}

}  // namespace

std::string join_path(const std::string& path, const std::string& name) { return path.empty() ? name : path + "." + name; }

std::string in_quotes(std::string_view text) {
  const bool whole = is_utf8(text);
  std::string result = "\"";
  for (const char c : text) {
    const bool plain = !is_control(c) && (whole || static_cast<unsigned char>(c) < 128);
    result += plain ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return result + "\"";
}

void check_name(const std::string& what, std::string_view name, std::string_view without) {
  const std::string why = fault(name, without);
  if (!why.empty()) fail("{} {} cannot be a name: it {}", what, in_quotes(name), why);
}

}  // namespace az
