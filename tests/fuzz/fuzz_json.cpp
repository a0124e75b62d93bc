#include <algorithm>
#include <cstdlib>

#include "core/base/ascii.h"
#include "core/base/utf8.h"
#include "core/config/json_document.h"

namespace {

// One line of sensible length in UTF-8, which starts with a place.
bool is_sentence(const std::string& message) {
  const std::string file = "fuzz.json:";
  for (size_t at = 0; at < message.size(); at += az::character_at(message, at).bytes) {
    if (az::character_at(message, at).bytes == 0) return false;
  }
  const bool one_line = std::none_of(message.begin(), message.end(), [](char c) { return uint8_t(c) < ' '; });
  return one_line && message.size() < 1500 && message.starts_with(file) && az::is_digit(message[file.size()]);
}

}  // namespace

// Any bytes give a value that is written and read back unchanged, or an Error with a sentence; never anything else.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  az::config::Value value;
  try {
    value = az::config::parse_text(text, "fuzz.json");
  } catch (const az::Error& error) {
    if (!is_sentence(error.what())) std::abort();
    return 0;
  }
  if (!(az::config::parse_text(az::config::dump(value, 2), "again.json") == value)) std::abort();
  return 0;
}
