#include "core/config/value.h"

#include <algorithm>
#include <cmath>

#include "core/base/ascii.h"
#include "core/base/utf8.h"
#include "core/config/json_document.h"

namespace az::config {

namespace {

// A path's keys may hold anything: a message stays one line of sensible length.
std::string printable(const std::string& path) {
  const std::string text = dump(Value(excerpt(path, 200)));
  const bool plain = std::none_of(path.begin(), path.end(), is_control);
  return plain ? excerpt(path, 200) : text.substr(1, text.size() - 2);
}

}  // namespace

std::string Position::text() const {
  if (!source) return "";
  return line > 0 ? fmt::format("{}:{}:{}", *source, line, column) : *source;
}

std::string place_text(const Position& position, const std::string& path) {
  const std::string place = position.text();
  // "--set optimizer.lr" has said the path already.
  const bool repeated = position.line == 0 && !path.empty() && place.ends_with(" " + path);
  if (path.empty() || repeated) return place;
  return place.empty() ? printable(path) : place + ": " + printable(path);
}

std::string placed_text(const Position& position, const std::string& path, const std::string& message) {
  const std::string place = place_text(position, path);
  return place.empty() ? message : place + ": " + message;
}

void fail_at(const Position& position, const std::string& path, const std::string& message) {
  throw PlacedError(placed_text(position, path, message));
}

// Here, since they need Member to be complete.
Value::Value() = default;
Value::Value(std::nullptr_t) {}
Value::Value(double number) : data_(number) {}
Value::Value(const char* text) : data_(std::string(text)) {}
Value::Value(std::string text) : data_(std::move(text)) {}
Value::Value(Array elements) : data_(std::move(elements)) {}
Value::Value(Object members) : data_(std::move(members)) {}

void Value::fail_type(const char* expected) const {
  fail_at(position_, "", fmt::format("expected {}, got {}", expected, short_text(*this)));
}

bool Value::as_bool() const {
  if (!is_bool()) fail_type("a boolean");
  return std::get<bool>(data_);
}

int64_t Value::as_int() const {
  if (!is_int()) fail_type("an integer");
  return std::get<int64_t>(data_);
}

double Value::as_double() const {
  if (!is_number()) fail_type("a number");
  return is_int() ? static_cast<double>(std::get<int64_t>(data_)) : std::get<double>(data_);
}

std::optional<int64_t> Value::whole() const {
  if (is_int()) return std::get<int64_t>(data_);
  const double number = is_number() ? std::get<double>(data_) : NAN;
  if (!(number >= -0x1p63 && number < 0x1p63) || number != std::floor(number)) return {};
  return int64_t(number);
}

const std::string& Value::as_string() const {
  if (!is_string()) fail_type("a string");
  return std::get<std::string>(data_);
}

const Value::Array& Value::as_array() const& {
  if (!is_array()) fail_type("a list");
  return std::get<Array>(data_);
}

Value::Array& Value::as_array() & { return const_cast<Array&>(std::as_const(*this).as_array()); }

const Value::Object& Value::as_object() const& {
  if (!is_object()) fail_type("an object");
  return std::get<Object>(data_);
}

Value::Object& Value::as_object() & { return const_cast<Object&>(std::as_const(*this).as_object()); }

Value::Object Value::as_object() && { return std::move(as_object()); }

const Value* Value::find(std::string_view key) const {
  for (const Member& member : as_object()) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

const Value& Value::at(std::string_view key) const {
  const Value* value = find(key);
  if (!value) fail_at(position_, std::string(key), "the key is missing");
  return *value;
}

Value& Value::operator[](std::string_view key) {
  if (is_null()) data_ = Object{};
  if (const Value* value = find(key)) return const_cast<Value&>(*value);
  return as_object().emplace_back(Member{std::string(key)}).value;
}

void Value::push_back(Value element) {
  if (is_null()) data_ = Array{};
  as_array().push_back(std::move(element));
}

bool operator==(const Member& a, const Member& b) { return a.key == b.key && a.value == b.value; }
bool operator==(const Value& a, const Value& b) { return a.data_ == b.data_; }

bool equivalent(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    const auto one = a.whole(), other = b.whole();
    return one && other ? one == other : a.as_double() == b.as_double();
  }
  if (a.is_array() && b.is_array()) {
    const Value::Array &one = a.as_array(), &other = b.as_array();
    return std::equal(one.begin(), one.end(), other.begin(), other.end(), equivalent);
  }
  if (a.is_object() && b.is_object()) {
    const auto has_equal = [&](const Member& member) {
      const Value* other = b.find(member.key);
      return other && equivalent(member.value, *other);
    };
    return a.as_object().size() == b.as_object().size() && std::all_of(a.as_object().begin(), a.as_object().end(), has_equal);
  }
  return a == b;
}

std::string short_text(const Value& value) {
  if (value.is_array()) return "a list";
  if (value.is_object()) return "an object";
  // JSON cannot write these, and a program's options can hold them.
  if (const double number = value.is_number() ? value.as_double() : 0; !std::isfinite(number))
    return std::isnan(number) ? "NaN" : number > 0 ? "infinity" : "-infinity";
  return dump(value.is_string() ? Value(excerpt(value.as_string())) : value);
}

}  // namespace az::config
