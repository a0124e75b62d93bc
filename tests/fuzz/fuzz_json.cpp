#include <cstdlib>

#include "core/config/json_document.h"

// Any bytes give a value that is written and read back unchanged, or an Error; never anything else.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  az::config::Value value;
  try {
    value = az::config::parse_text(text, "fuzz.json");
  } catch (const az::Error&) {
    return 0;
  }
  if (!(az::config::parse_text(az::config::dump(value, 2), "again.json") == value)) std::abort();
  return 0;
}
