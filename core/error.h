#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>

namespace az {

// Exit codes of the command line; an Error carries the one that fits it.
enum class Exit { done = 0, failure = 1, config = 2, data = 3, diverged = 4, interrupted = 130, terminated = 143 };

// Every error thrown by Azimuth: one clear sentence, prefixed by the path of the module it happened in, if any.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, Exit code = Exit::failure) : std::runtime_error(message), code_(code) {}
  Exit code() const { return code_; }

 private:
  Exit code_;
};

// A usage or configuration error (exit code 2), a data set missing or corrupt (3), a training that diverged (4).
struct ConfigError : Error {
  explicit ConfigError(const std::string& message) : Error(message, Exit::config) {}
};
struct DataError : Error {
  explicit DataError(const std::string& message) : Error(message, Exit::data) {}
};
struct DivergedError : Error {
  explicit DivergedError(const std::string& message) : Error(message, Exit::diverged) {}
};

// Throws Error with "<module path>: <message>".
[[noreturn]] void throw_error(const std::string& message);

template <class... Args> [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw_error(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace az
