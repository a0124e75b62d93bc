#include "core/config/rules.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "core/base/ascii.h"
#include "core/config/json_document.h"
#include "core/config/nearest.h"

namespace az::config {
namespace {

using Kind = Rule::Kind;

bool is_on_lists(Kind kind) { return kind == Kind::elements || kind == Kind::distinct; }
bool is_on_objects(Kind kind) { return kind == Kind::lists || kind == Kind::no_key; }

bool holds(const Rule& rule, const Value& value) {
  switch (rule.kind) {
    case Kind::at_least: return value.as_double() >= rule.bound;
    case Kind::more_than: return value.as_double() > rule.bound;
    case Kind::at_most: return value.as_double() <= rule.bound;
    case Kind::less_than: return value.as_double() < rule.bound;
    case Kind::one_of:
      return std::any_of(rule.choices.begin(), rule.choices.end(),
                         [&](const Value& choice) { return equivalent(choice, value); });
    case Kind::share_or_count: return value.as_double() < 1 || value.as_double() == std::floor(value.as_double());
    case Kind::folder_name: return value.as_string().empty() || names_folder(value.as_string());
    case Kind::path: return !value.as_string().empty();
    default: return true;
  }
}

std::string list_of(const std::vector<Value>& choices) {
  std::string text;
  for (const Value& choice : choices) text += (text.empty() ? "" : ", ") + dump(choice);
  return text;
}

std::string elements_text(const Rule& rule) {
  const int64_t least = rule.choices[0].as_int(), most = rule.choices[1].as_int();
  if (most == 0) return "empty";
  const std::string most_text = fmt::format("{} element{}", most, most == 1 ? "" : "s");
  if (least == most) return most_text;
  return most < INT64_MAX ? fmt::format("{} to {}", least, most_text) : fmt::format("{} or more elements", least);
}

std::string text(const Rule& rule) {
  switch (rule.kind) {
    case Kind::at_least: return fmt::format("at least {}", rule.bound);
    case Kind::more_than: return fmt::format("more than {}", rule.bound);
    case Kind::at_most: return fmt::format("at most {}", rule.bound);
    case Kind::less_than: return fmt::format("less than {}", rule.bound);
    case Kind::one_of: return (rule.choices.size() == 1 ? "" : "one of ") + list_of(rule.choices);
    case Kind::share_or_count: return "below 1, or a whole number";
    case Kind::path: return "a path";
    case Kind::changes_on_resume: return "may change on resume";
    case Kind::elements: return elements_text(rule);
    case Kind::distinct: return "all different";
    case Kind::lists: return "lists";
    case Kind::required:
    case Kind::folder_name:
    case Kind::no_key: return "";
  }
  return "";
}

// A bound as the integer it is, where it is one: editors show 1, not 1.0.
Value bound(const Rule& rule) {
  auto integer = static_cast<int64_t>(rule.bound);
  return static_cast<double>(integer) == rule.bound ? Value(integer) : Value(rule.bound);
}

void check_distinct(const Value& list, const std::string& path) {
  const Value::Array& values = list.as_array();
  for (size_t i = 0; i < values.size(); ++i) {
    const auto first = std::find_if(values.begin(), values.begin() + std::ptrdiff_t(i),
                                    [&](const Value& v) { return equivalent(v, values[i]); });
    if (first == values.begin() + std::ptrdiff_t(i)) continue;
    const std::string place = first->position().text();
    fail_at(values[i].position(), fmt::format("{}.{}", path, i),
            fmt::format("{} is in the list twice; remove it here or {}", short_text(values[i]),
                        place.empty() ? "before" : "at " + place));
  }
}

void check_list(const Value& list, const std::string& path, const Rule& rule) {
  if (rule.kind == Kind::distinct) return check_distinct(list, path);
  const auto count = int64_t(list.as_array().size());
  if (count >= rule.choices[0].as_int() && count <= rule.choices[1].as_int()) return;
  if (!rule.message.empty()) fail_at(list.position(), path, rule.message);
  fail_at(list.position(), path, fmt::format("must have {}, got {}", elements_text(rule), count));
}

void check_object(const Value& object, const std::string& path, const Rule& rule) {
  for (const Member& member : object.as_object()) {
    const std::string place = path + "." + member.key;
    if (rule.kind == Kind::no_key && member.key == rule.choices[0].as_string()) fail_at(member.position, place, rule.message);
    if (rule.kind != Kind::lists) continue;
    if (!member.value.is_array())
      fail_at(member.value.position(), place,
              fmt::format("expected a list of values to try, got {0}; write it in brackets: [{0}]", short_text(member.value)));
    if (member.value.as_array().empty())
      fail_at(member.value.position(), place, "the list is empty; give the values to try, or remove the key");
    check_distinct(member.value, place);
  }
}

}  // namespace

bool names_folder(const std::string& name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) { return !is_control(c) && c != '/'; });
  return plain && !name.empty() && name != "." && name != ".." && name.size() <= 200;
}

void check_rules(const Value& value, const std::string& path, const Rules& rules) {
  for (const Rule& rule : rules) {
    if (value.is_array() || is_on_lists(rule.kind)) {
      if (value.is_array() && is_on_lists(rule.kind)) check_list(value, path, rule);
      continue;
    }
    if (value.is_object() || is_on_objects(rule.kind)) {
      if (value.is_object() && is_on_objects(rule.kind)) check_object(value, path, rule);
      continue;
    }
    if (holds(rule, value)) continue;
    if (rule.kind == Kind::folder_name) fail_at(value.position(), path, not_a_folder_name);
    std::vector<std::string> words;
    for (const Value& choice : rule.choices) {
      if (choice.is_string()) words.push_back(choice.as_string());
    }
    const std::string hint = value.is_string() ? did_you_mean(value.as_string(), words) : "";
    fail_at(value.position(), path, fmt::format("must be {}, got {}{}", text(rule), short_text(value), hint));
  }
}

void add_rules(Value& schema, const Rules& rules) {
  const std::string type = schema.at("type").as_string();
  for (const Rule& rule : rules) {
    const bool fits = is_on_lists(rule.kind)     ? type == "array"
                      : is_on_objects(rule.kind) ? type == "object"
                                                 : type != "array" && type != "object";
    if (!fits) continue;
    switch (rule.kind) {
      case Kind::required: break;
      case Kind::at_least: schema["minimum"] = bound(rule); break;
      case Kind::more_than: schema["exclusiveMinimum"] = bound(rule); break;
      case Kind::at_most: schema["maximum"] = bound(rule); break;
      case Kind::less_than: schema["exclusiveMaximum"] = bound(rule); break;
      case Kind::one_of: schema["enum"] = rule.choices; break;
      case Kind::path: schema["minLength"] = 1; break;
      case Kind::changes_on_resume: break;
      case Kind::share_or_count:
        schema["anyOf"] = Value::Array{Value::Object{{"exclusiveMaximum", 1}}, Value::Object{{"type", "integer"}}};
        break;
      case Kind::folder_name: schema["pattern"] = R"(^(?!\.{1,2}$)[^/\u0000-\u001f\u007f]{0,200}$)"; break;
      case Kind::elements:
        schema["minItems"] = rule.choices[0];
        if (rule.choices[1].as_int() < INT64_MAX) schema["maxItems"] = rule.choices[1];
        break;
      case Kind::distinct: schema["uniqueItems"] = true; break;
      case Kind::lists:
        schema["additionalProperties"] = Value::Object{{"type", "array"}, {"minItems", 1}, {"uniqueItems", true}};
        break;
      case Kind::no_key: schema["propertyNames"]["not"]["enum"].push_back(rule.choices[0]); break;
    }
  }
}

bool is_on(const Value& value) { return !value.is_null() && !(value == Value(false)); }

bool takes(const Codec& codec, const Value& value, const Rules& rules, void* scratch) {
  try {
    codec.read(value, "", rules, scratch);
    return true;
  } catch (const Error&) {
    return false;
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
