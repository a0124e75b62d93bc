#include "core/config/json_document.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/base/ascii.h"
#include "core/base/utf8.h"

namespace az::config {
namespace {

using Json = nlohmann::json;

void write(const Value& value, int indent, int level, std::string& out) {
  auto new_line = [&](int depth) {
    if (indent >= 0) out.append("\n").append(static_cast<size_t>(indent * depth), ' ');
  };
  if (value.is_object() && !value.as_object().empty()) {
    const char* separator = "{";
    for (const Member& member : value.as_object()) {
      out += std::exchange(separator, indent >= 0 ? "," : ", ");
      new_line(level + 1);
      out += dump(Value(member.key)) + ": ";
      write(member.value, indent, level + 1, out);
    }
    new_line(level);
    out += '}';
  } else if (value.is_array()) {
    // A list of plain values stays on one line.
    const auto& elements = value.as_array();
    bool flat = std::none_of(elements.begin(), elements.end(), [](const Value& v) { return v.is_object() || v.is_array(); });
    out += '[';
    for (const Value& element : elements) {
      if (&element != &elements.front()) out += flat || indent < 0 ? ", " : ",";
      if (!flat) new_line(level + 1);
      write(element, indent, level + 1, out);
    }
    if (!flat) new_line(level);
    out += ']';
  } else if (value.is_object()) {
    out += "{}";
  } else if (value.is_string()) {
    out += Json(value.as_string()).dump(-1, ' ', false, Json::error_handler_t::replace);
  } else if (value.is_int()) {
    out += std::to_string(value.as_int());
  } else if (value.is_number()) {
    out += Json(value.as_double()).dump();
  } else {
    out += value.is_null() ? "null" : value.as_bool() ? "true" : "false";
  }
}

void mark(Value& value, const Position& position) {
  value.set_position(position);
  if (value.is_array()) {
    for (Value& element : value.as_array()) mark(element, position);
  } else if (value.is_object()) {
    for (Member& member : value.as_object()) {
      member.position = position;
      mark(member.value, position);
    }
  }
}

// A value within a list or an object that a --set gave.
const Value* typed_within(const Value& value) {
  const auto one = [](const Value& inner) { return inner.position().typed ? &inner : typed_within(inner); };
  if (value.is_array()) {
    for (const Value& element : value.as_array()) {
      if (const Value* found = one(element)) return found;
    }
  } else if (value.is_object()) {
    for (const Member& member : value.as_object()) {
      if (const Value* found = one(member.value)) return found;
    }
  }
  return nullptr;
}

// JSON, or else a plain string. What is no number to JSON, 1e400, may be text to an option.
Value value_of(const std::string& text, const std::string& source) {
  if (!text.empty() && std::strchr("{[\"", text[0])) return parse_text(text, source);
  try {
    return parse_text(text, source);
  } catch (const ConfigError&) {
    return text;
  }
}

}  // namespace

std::string dump(const Value& value, int indent) {
  std::string out;
  write(value, indent, 0, out);
  return out;
}

void set_path(Value& root, const std::string& path, const std::string& text) {
  Position position{std::make_shared<const std::string>("--set " + path)};
  if (!is_utf8(path) || !is_utf8(text)) fail_at(position, "", "must be UTF-8, as all JSON is");
  Value value = value_of(text, "--set " + path);
  mark(value, position);
  Position typed = position;
  typed.typed = std::make_shared<const std::string>(text);
  value.set_position(typed);
  set_path(root, path, std::move(value), position);
}

void set_path(Value& root, const std::string& path, Value given, const Position& position) {
  Value* value = &root;
  const auto levels = size_t(std::count(path.begin(), path.end(), '.')) + 1;
  if (levels > deepest) fail_at(position, path, fmt::format("more than {} levels deep", deepest));
  for (size_t start = 0; start <= path.size();) {
    size_t end = std::min(path.find('.', start), path.size());
    std::string key = path.substr(start, end - start);
    if (key.empty()) fail_at(position, path, "the path has an empty part; write it as in optimizer.lr");
    const bool is_number = std::all_of(key.begin(), key.end(), is_digit);
    if (value->is_null() && is_number && start > 0)
      fail_at(position, path, fmt::format("there is no list at {0} yet; give it whole: {0}=[...]", path.substr(0, start - 1)));
    if (value->is_array()) {
      auto& elements = value->as_array();
      size_t index = elements.size();
      std::from_chars(key.data(), key.data() + key.size(), index);
      if (!is_number || (key.size() > 1 && key[0] == '0') || index >= elements.size()) {
        fail_at(position, path, fmt::format("\"{}\" is no index into a list of {}; the first is 0", key, elements.size()));
      }
      value = &elements[index];
    } else {
      if (!value->is_object() && !value->is_null()) {
        fail_at(position, path, fmt::format("{} is {}, not an object", path.substr(0, start - 1), short_text(*value)));
      }
      if (value->is_null()) {
        *value = Value::Object{};
        value->set_position(position);
      }
      if (!value->find(key)) value->as_object().push_back({key, {}, position});
      value = &(*value)[key];
    }
    start = end + 1;
  }
  if (const Value* lost = typed_within(*value))
    fail_at(position, path, fmt::format("would undo {}; put it before that, or leave one out", lost->position().text()));
  *value = std::move(given);
}

}  // namespace az::config
