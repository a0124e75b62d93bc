#include "core/config/rules.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/config/nearest.h"

namespace az::config {
namespace {

using Kind = Rule::Kind;

bool holds(const Rule& rule, const Value& value) {
  switch (rule.kind) {
    case Kind::required: return true;
    case Kind::at_least: return value.as_double() >= rule.bound;
    case Kind::more_than: return value.as_double() > rule.bound;
    case Kind::at_most: return value.as_double() <= rule.bound;
    case Kind::less_than: return value.as_double() < rule.bound;
    case Kind::one_of: return std::count(rule.choices.begin(), rule.choices.end(), value.as_string()) > 0;
  }
  return false;
}

std::string text(const Rule& rule) {
  switch (rule.kind) {
    case Kind::required: return "";
    case Kind::at_least: return fmt::format("at least {}", rule.bound);
    case Kind::more_than: return fmt::format("more than {}", rule.bound);
    case Kind::at_most: return fmt::format("at most {}", rule.bound);
    case Kind::less_than: return fmt::format("less than {}", rule.bound);
    case Kind::one_of: return "one of " + quoted_list(rule.choices);
  }
  return "";
}

// A bound as the integer it is, where it is one: editors show 1, not 1.0.
Value bound(const Rule& rule) {
  auto integer = static_cast<int64_t>(rule.bound);
  return static_cast<double>(integer) == rule.bound ? Value(integer) : Value(rule.bound);
}

}  // namespace

void check_rules(const Value& value, const std::string& path, const Rules& rules) {
  for (const Rule& rule : rules) {
    if (holds(rule, value)) continue;
    std::string hint = rule.kind == Kind::one_of ? did_you_mean(value.as_string(), rule.choices) : "";
    fail_at(value.position(), path, fmt::format("must be {}, got {}{}", text(rule), short_text(value), hint));
  }
}

void add_rules(Value& schema, const Rules& rules) {
  for (const Rule& rule : rules) {
    switch (rule.kind) {
      case Kind::required: break;
      case Kind::at_least: schema["minimum"] = bound(rule); break;
      case Kind::more_than: schema["exclusiveMinimum"] = bound(rule); break;
      case Kind::at_most: schema["maximum"] = bound(rule); break;
      case Kind::less_than: schema["exclusiveMaximum"] = bound(rule); break;
      case Kind::one_of: schema["enum"] = Value::Array(rule.choices.begin(), rule.choices.end()); break;
    }
  }
}

std::string range_text(const Rules& rules) {
  std::string all;
  for (const Rule& rule : rules) {
    std::string one = text(rule);
    if (!one.empty()) all += (all.empty() ? "" : ", ") + one;
  }
  return all;
}

}  // namespace az::config
