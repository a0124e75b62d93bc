#pragma once

#include <fmt/core.h>

#include <exception>
#include <string>
#include <typeinfo>
#include <utility>

namespace az {

// Exit codes of the command line; an Error carries the one that fits it.
enum class Exit { done = 0, failure = 1, config = 2, data = 3, diverged = 4, interrupted = 130, terminated = 143 };

// Every error thrown by Azimuth: one clear sentence, prefixed by the path of the module it happened in, if any. A program that
// lets one out of its main() ends with that sentence on stderr, and with its exit code: the library sets a terminate handler as
// it is loaded, which leaves all else to the one before.
class Error : public std::exception {
 public:
  explicit Error(std::string message, Exit code = Exit::failure) : message_(std::move(message)), code_(code) {}
  const char* what() const noexcept override { return message_.c_str(); }
  Exit code() const { return code_; }

  // Puts "<place>: " before the message, unless it says where already; where() is that place.
  void place(const std::string& place);
  const std::string& where() const { return place_; }
  // Puts "<place>: " before all of that, unless it says already where in a config what threw it stands.
  void locate(const std::string& config_place);
  bool located() const { return located_ > 0; }
  // The message without that.
  std::string unlocated() const { return message_.substr(located_); }
  // Puts more behind it.
  void add(const std::string& more) { message_ += more; }

 private:
  std::string message_, place_;
  size_t located_ = 0;  // characters
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
// There is too little memory (1). It is the fault of no option: it keeps its type and exit code where an error gets a place.
struct MemoryError : Error {
  explicit MemoryError(const std::string& message) : Error(message) {}
};

// Throws Error with "<module path>: <message>".
[[noreturn]] void throw_error(const std::string& message);

template <class... Args> [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw_error(fmt::format(format, std::forward<Args>(args)...));
}

// While an exception is being handled: what it says; of one that is neither a std::exception nor a text, what type it is of.
std::string current_exception_text();
// Likewise: the place that it was given, as Error::where().
std::string current_exception_place();
// Likewise: throws it on, saying where. An Error keeps its type and exit code, std::bad_alloc its type. Anything
// else, as code that others wrote may throw anything, becomes an Error "<place>: <thrower>: <what it says>".
[[noreturn]] void rethrow_placed(const std::string& place, const std::string& thrower = "");

// Calls f, which others may have written. What it throws is thrown on as by rethrow_placed(where(), thrower()).
template <class Where, class F, class Thrower> decltype(auto) placed(Where&& where, F&& f, Thrower&& thrower) {
  try {
    return f();
  } catch (...) {
    rethrow_placed(where(), thrower());
  }
}
template <class Where, class F> decltype(auto) placed(Where&& where, F&& f) {
  return placed(where, f, [] { return ""; });
}

// Likewise: throws it on as by rethrow_placed(), saying where in a config what threw it stands, by Error::locate(). An empty
// place adds nothing.
[[noreturn]] void rethrow_located(const std::string& config_place);

// Calls f, in which something that a config names runs. What it throws is thrown on as by rethrow_located(config_place).
template <class F> decltype(auto) located(const std::string& config_place, F&& f) {
  try {
    return f();
  } catch (...) {
    rethrow_located(config_place);
  }
}

// The name of a class without its namespaces, for messages; and of an object's class.
std::string class_name(const std::type_info& type);
template <class T> std::string class_of(const T& object) { return class_name(typeid(object)); }

}  // namespace az
