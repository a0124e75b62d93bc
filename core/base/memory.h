#pragma once

#include <fmt/core.h>

#include <cstddef>

#include "core/base/error.h"

// Too little memory, and what the limits of this process (ulimit -v, ulimit -d) leave of it.
namespace az {

// Throws MemoryError with "<module path>: <message>".
[[noreturn]] void throw_memory_error(const std::string& message);
template <class... Args> [[noreturn]] void fail_memory(fmt::format_string<Args...> format, Args&&... args) {
  throw_memory_error(fmt::format(format, std::forward<Args>(args)...));
}

// Bytes that this process may hold by its limits on addresses and on data; SIZE_MAX where there are none.
size_t limited_memory();
// What is left of them just now.
size_t memory_left();
// Throws MemoryError where less is left: for code that ends the program, instead of throwing, when it is given none.
void require_memory_left(size_t bytes);

}  // namespace az
