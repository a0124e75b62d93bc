#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/safetensors.h"

// Any bytes either parse or are refused with a DataError; anything else is a bug.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    az::parse_safetensors({reinterpret_cast<const char*>(data), size}, "fuzz");
  } catch (const az::DataError&) {}
  return 0;
}
