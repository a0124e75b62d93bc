#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/error.h"

namespace az::config {

// Where something was written: "exp.json:6:5"; a line of 0 means a source without lines, such as "--set optimizer.lr".
struct Position {
  std::shared_ptr<const std::string> source = nullptr;
  int line = 0;
  int column = 0;
  std::shared_ptr<const std::string> typed = nullptr;  // a --set's value as it was typed, whatever it means in JSON
  std::string text() const;
};

// A ConfigError that says where in the config it is.
struct PlacedError : ConfigError {
  using ConfigError::ConfigError;
};

// "<position>: <path>", and with ": <message>" behind it, without the parts that are empty.
std::string place_text(const Position& position, const std::string& path);
std::string placed_text(const Position& position, const std::string& path, const std::string& message);
// Throws PlacedError with that.
[[noreturn]] void fail_at(const Position& position, const std::string& path, const std::string& message);

struct Member;

// A JSON value that knows where it was written. Objects keep their order; integers are exact 64-bit numbers.
// The as_...() functions throw ConfigError when the value is of another type.
class Value {
 public:
  using Array = std::vector<Value>;
  using Object = std::vector<Member>;

  Value();
  Value(std::nullptr_t);
  template <std::integral T> Value(T number);
  Value(double number);
  Value(const char* text);
  Value(std::string text);
  Value(Array elements);
  Value(Object members);

  bool is_null() const { return data_.index() == 0; }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_int() const { return std::holds_alternative<int64_t>(data_); }
  bool is_number() const { return is_int() || std::holds_alternative<double>(data_); }
  bool is_string() const { return std::holds_alternative<std::string>(data_); }
  bool is_array() const { return std::holds_alternative<Array>(data_); }
  bool is_object() const { return std::holds_alternative<Object>(data_); }

  bool as_bool() const;
  int64_t as_int() const;
  double as_double() const;  // of an integer too
  // A number without a fraction that fits into 64 bits, also where it is written as 2.0 or 1e2; none for any other value.
  std::optional<int64_t> whole() const;
  const std::string& as_string() const;
  // A temporary gives its content away, so that a loop over it is safe.
  const Array& as_array() const&;
  Array& as_array() &;
  Array as_array() && { return std::move(as_array()); }
  const Object& as_object() const&;
  Object& as_object() &;
  Object as_object() &&;

  // The member of that name: nullptr if there is none, or ConfigError, or created (in a null value too).
  const Value* find(std::string_view key) const;
  const Value& at(std::string_view key) const;
  Value& operator[](std::string_view key);
  void push_back(Value element);  // to a list, or to null, which becomes one

  const Position& position() const { return position_; }
  void set_position(Position position) { position_ = std::move(position); }

  // Equal content; positions do not count, and 1 differs from 1.0.
  friend bool operator==(const Value& a, const Value& b);

 private:
  [[noreturn]] void fail_type(const char* expected) const;

  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> data_;
  Position position_;
};

// One "key": value of an object; the position is the key's.
struct Member {
  std::string key;
  Value value = {};
  Position position = {};
  friend bool operator==(const Member& a, const Member& b);
};

template <std::integral T> Value::Value(T number) {
  if constexpr (std::same_as<T, bool>) {
    data_ = number;
  } else {
    data_ = static_cast<int64_t>(number);
  }
}

// Equal to JSON: 1 and 1.0 are one number, and the order of keys is nothing.
bool equivalent(const Value& a, const Value& b);

// A short name for an error message: `"0.1"`, `12`, `null`, "a list", "an object"; a long string's beginning.
std::string short_text(const Value& value);

}  // namespace az::config
