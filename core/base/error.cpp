#include "core/base/error.h"

#include <cxxabi.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string_view>

#include "core/base/scope.h"

namespace az {
namespace {

std::string joined(const std::string& a, const std::string& b) { return a.empty() || b.empty() ? a + b : a + ": " + b; }

constexpr const char* no_memory = "there is not enough memory; take smaller batches, a smaller network or fewer images";

// Says where there was not enough.
struct PlacedBadAlloc : std::bad_alloc {
  PlacedBadAlloc(const std::string& where, const std::string& thrower) : told(joined(thrower, no_memory)) { told.place(where); }
  const char* what() const noexcept override { return told.what(); }
  Error told;
};

bool says_more(const std::bad_alloc& error) { return error.what() != std::string_view(std::bad_alloc().what()); }

// What the exception that is being handled says, `text`, or, where that is nothing, what it is.
std::string said(const std::string& text) {
  if (!text.empty()) return text;
  const std::type_info* type = abi::__cxa_current_exception_type();
  return (type ? class_name(*type) : "an exception") + " without a message";
}

// Without what is nested in it.
std::string own_text() {
  try {
    throw;
  } catch (const std::bad_alloc& error) {
    return says_more(error) ? error.what() : no_memory;
  } catch (const std::exception& error) {
    return said(error.what());
  } catch (const std::string& text) {
    return text.empty() ? "threw an empty text" : text;
  } catch (const std::string_view& text) {
    return text.empty() ? "threw an empty text" : std::string(text);
  } catch (const char* text) {
    return !text ? "threw a null char const*" : *text ? text : "threw an empty text";
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    return "threw a value of type " + (type ? class_name(*type) : "unknown");
  }
}

// What std::throw_with_nested has put into the exception that is being handled; "" for nothing.
std::string nested_text() {
  try {
    throw;
  } catch (const std::nested_exception& outer) {
    try {
      if (outer.nested_ptr()) outer.rethrow_nested();
    } catch (...) {
      return current_exception_text();
    }
  } catch (...) {}
  return "";
}

// An Error that nobody catches is as good as one that the command line catches: a sentence and an exit code, not a core dump.
std::terminate_handler before = nullptr;
void end_with_sentence() {
  if (const std::exception_ptr thrown = std::current_exception()) {
    try {
      std::rethrow_exception(thrown);
    } catch (const Error& error) {
      std::fputs(("azimuth: " + current_exception_text() + "\n").c_str(), stderr);
      std::_Exit(int(error.code()));
    } catch (...) {}
  }
  before ? before() : std::abort();
}
[[maybe_unused]] const bool installed = (before = std::set_terminate(end_with_sentence), true);

}  // namespace

void Error::place(const std::string& place) {
  if (!place_.empty() || place.empty()) return;
  message_.insert(located_, place + ": ");
  place_ = place;
}

void Error::locate(const std::string& config_place) {
  if (located() || config_place.empty()) return;
  message_ = config_place + ": " + message_;
  located_ = config_place.size() + 2;
}

void throw_error(const std::string& message) {
  Error error(message);
  error.place(Scope::place());
  throw error;
}

std::string current_exception_text() {
  const std::string own = own_text(), nested = nested_text();
  return own.find(nested) == std::string::npos ? own + ": " + nested : own;
}

std::string current_exception_place() {
  try {
    throw;
  } catch (const Error& error) {
    return error.where();
  } catch (const PlacedBadAlloc& error) {
    return error.told.where();
  } catch (...) {
    return "";
  }
}

void rethrow_located(const std::string& config_place) {
  try {
    rethrow_placed("");
  } catch (Error& error) {
    error.locate(config_place);
    throw;
  } catch (PlacedBadAlloc& error) {
    error.told.locate(config_place);
    throw;
  }
}

void rethrow_placed(const std::string& place, const std::string& thrower) {
  try {
    throw;
  } catch (Error& error) {
    error.add(current_exception_text().substr(std::strlen(error.what())));  // what it does not say itself
    error.place(place);
    throw;
  } catch (const std::bad_alloc& error) {
    if (says_more(error)) throw;
    throw PlacedBadAlloc(place, thrower);
  } catch (...) {
    Error error(joined(thrower, current_exception_text()));
    error.place(place);
    throw error;
  }
}

std::string class_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> demangled(abi::__cxa_demangle(type.name(), nullptr, nullptr, &status),
                                                              &std::free);
  const std::string name = status == 0 ? demangled.get() : type.name();
  int depth = 0;  // of brackets: the namespaces of a template's arguments stay
  for (size_t i = name.size(); i > 1; --i) {
    const char c = name[i - 1];
    depth += c == '>' || c == ')';
    depth -= c == '<' || c == '(';
    if (depth == 0 && c == ':') return name.substr(i);
  }
  return name;
}

}  // namespace az
