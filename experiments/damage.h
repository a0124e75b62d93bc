#pragma once

#include <fmt/core.h>

#include <string>

#include "core/base/error.h"
#include "core/base/files.h"

namespace az::experiments {

// What read() gives of a file of a run. Whatever it throws becomes a DataError with that and the remedy.
template <class Read> auto undamaged(const std::string& file, const char* remedy, const Read& read) {
  try {
    return read();
  } catch (const FileError& error) {
    throw DataError(fmt::format("{}; {}", error.what(), remedy));
  } catch (const std::exception& error) {
    const std::string what = error.what();
    if (what.starts_with(file + ": ")) throw DataError(fmt::format("{}; {}", what, remedy));
    throw DataError(fmt::format("{} is damaged: {}; {}", file, what, remedy));
  }
}

}  // namespace az::experiments
