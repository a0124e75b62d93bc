#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/base/ascii.h"
#include "core/base/files.h"
#include "core/base/utf8.h"
#include "core/config/json_document.h"
#include "core/config/options.h"
#include "core/config/rules.h"
#include "core/config/spelling.h"
#include "core/config/word_error.h"

namespace az::config {
namespace {

[[noreturn]] void fail_type(const Value& value, const std::string& path, const std::string& expected,
                            const std::string& hint = "") {
  fail_at(value.position(), path, fmt::format("expected {}, got {}{}", expected, short_text(value), hint));
}

// The value that JSON has for a string's words: 0.1 for ".1", true for "yes"; none where it has none.
std::optional<Value> value_of_words(const Value& value) {
  if (!value.is_string()) return {};
  try {
    return parse_text(json_spelling(value.as_string()), "");
  } catch (const ConfigError&) {
    return {};
  }
}

// Says whether a string was written in quotes. A --set takes what is not JSON for a string as it was typed, without quotes.
bool is_quoted(const Value& string) {
  const auto& typed = string.position().typed;
  return !typed || *typed != string.as_string();
}

// What to write instead of a string that means a number, or true or false.
std::string unquoted_hint(const Codec& codec, const Value& value, void* scratch) {
  if (!value.is_string()) return "";
  const std::string spelling = json_spelling(value.as_string());
  const std::optional<Value> words = value_of_words(value);
  const bool is_none = words && words->is_null() && !is_quoted(value);
  if (codec.type_name() != "boolean" && (is_none || is_not_finite(value.as_string())))
    return "; " + word_message(value.as_string());
  const bool is_number = !spelling.empty() && (is_digit(spelling[0]) || spelling[0] == '-');
  if (!words && is_number && codec.type_name() != "boolean") return "; it is too large or too small";
  if (codec.type_name() != "boolean" && is_arithmetic(value.as_string())) return "; write what it comes to";
  if (!words || !takes(codec, *words, {}, scratch)) return "";
  return fmt::format("; write {}{}", excerpt(spelling), is_quoted(value) ? " without quotes" : "");
}

void add_default(Value& schema, const Codec& codec, const void* defaults) {
  if (defaults) schema["default"] = codec.write(defaults);
}

struct BoolCodec : Codec {
  void read(const Value& value, const std::string& path, const Rules& rules, void* target) const override {
    const auto number = value.whole();
    const bool is_bit = number && (*number == 0 || *number == 1);
    if (!value.is_bool())
      fail_type(value, path, "true or false",
                is_bit ? fmt::format("; write {}", *number == 1) : unquoted_hint(*this, value, target));
    check_rules(value, path, rules);
    *static_cast<bool*>(target) = value.as_bool();
  }
  Value write(const void* source) const override { return *static_cast<const bool*>(source); }
  std::string type_name() const override { return "boolean"; }
  Value schema(const Rules& rules, const void* defaults, Definitions&) const override {
    Value schema;
    schema["type"] = "boolean";
    add_rules(schema, rules);
    add_default(schema, *this, defaults);
    return schema;
  }
};

template <class T> struct NumberCodec : Codec {
  static constexpr bool integral = std::is_same_v<T, int64_t>;
  void read(const Value& value, const std::string& path, const Rules& rules, void* target) const override {
    if (!value.is_number()) fail_type(value, path, integral ? "an integer" : "a number", unquoted_hint(*this, value, target));
    if (!std::isfinite(value.as_double())) fail_type(value, path, "a finite number");
    if (integral && !value.whole()) {
      const double number = value.as_double();
      fail_type(value, path, "an integer", number == std::floor(number) ? ", which does not fit into 64 bits" : "");
    }
    check_rules(value, path, rules);
    if constexpr (integral) {
      *static_cast<T*>(target) = *value.whole();
    } else {
      *static_cast<T*>(target) = value.as_double();
    }
  }
  Value write(const void* source) const override { return *static_cast<const T*>(source); }
  std::string type_name() const override { return integral ? "integer" : "number"; }
  Value schema(const Rules& rules, const void* defaults, Definitions&) const override {
    Value schema;
    schema["type"] = type_name();
    add_rules(schema, rules);
    if (integral && !schema.find("enum")) {
      if (!schema.find("minimum") && !schema.find("exclusiveMinimum")) schema["minimum"] = INT64_MIN;
      if (!schema.find("maximum") && !schema.find("exclusiveMaximum")) schema["maximum"] = INT64_MAX;
    }
    add_default(schema, *this, defaults);
    return schema;
  }
};

struct StringCodec : Codec {
  void read(const Value& value, const std::string& path, const Rules& rules, void* target) const override {
    if (value.position().typed && (value.is_number() || value.is_bool())) {
      Value text(*value.position().typed);
      text.set_position(value.position());
      return read(text, path, rules, target);
    }
    Rules choices;
    std::copy_if(rules.begin(), rules.end(), std::back_inserter(choices),
                 [](const Rule& rule) { return rule.kind == Rule::Kind::one_of; });
    if (!value.is_string() && !choices.empty()) fail_type(value, path, range_text(choices));
    if (!value.is_string()) fail_type(value, path, "a string", hint(value));
    if (value.as_string().find('\0') != std::string::npos)
      fail_at(value.position(), path, "a string cannot hold the character \\u0000; remove it");
    check_rules(value, path, rules);
    const std::string& text = value.as_string();
    if (!is_utf8(text)) fail_at(value.position(), path, "a config is UTF-8, and this text is not");
    if (has(rules, Rule::Kind::path) && (text == "~" || text.starts_with("~/")))
      fail_at(value.position(), path, short_text(value) + ": the shell did not replace ~; write the folder in full");
    auto& result = *static_cast<std::string*>(target);
    result = has(rules, Rule::Kind::path) ? absolute_path(text) : text;
    if (!is_utf8(result))
      fail_at(
          value.position(), path,
          "a config is UTF-8, and the name of the current folder, from which this path counts, is not; give the path from the "
          "root on");
  }
  Value write(const void* source) const override { return *static_cast<const std::string*>(source); }
  std::string type_name() const override { return "string"; }
  Value schema(const Rules& rules, const void* defaults, Definitions&) const override {
    Value schema;
    schema["type"] = "string";
    add_rules(schema, rules);
    add_default(schema, *this, defaults);
    return schema;
  }

 private:
  static std::string hint(const Value& value) {
    if (value.position().typed)
      return fmt::format("; for this very text, write it in quotes: '\"{}\"'", excerpt(*value.position().typed));
    return value.is_number() || value.is_bool() ? fmt::format("; put it in double quotes: \"{}\"", short_text(value)) : "";
  }
};

struct AnyObjectCodec : Codec {
  void read(const Value& value, const std::string& path, const Rules& rules, void* target) const override {
    if (!value.is_object()) fail_type(value, path, "an object");
    check_rules(value, path, rules);
    *static_cast<Value::Object*>(target) = value.as_object();
  }
  Value write(const void* source) const override { return *static_cast<const Value::Object*>(source); }
  std::string type_name() const override { return "object"; }
  Value schema(const Rules& rules, const void* defaults, Definitions&) const override {
    Value schema;
    schema["type"] = "object";
    add_rules(schema, rules);
    add_default(schema, *this, defaults);
    return schema;
  }
};

struct OptionalCodec : Codec {
  explicit OptionalCodec(OptionalAccess functions) : access(functions) {}
  void read(const Value& value, const std::string& path, const Rules& rules, void* target) const override {
    access.reset(target);
    if (value.is_null()) return;
    void* const element = access.emplace(target);
    if (const auto words = value_of_words(value); words && words->is_null() && !takes(access.element(), value, rules, element))
      fail_type(value, path, with_article(type_name()),
                fmt::format("; write null{}", is_quoted(value) ? " without quotes" : ""));
    access.element().read(value, path, rules, element);
  }
  Value write(const void* source) const override {
    const void* element = access.get(source);
    return element ? access.element().write(element) : Value();
  }
  void compare(const Value& before, const Value& now, const std::string& path, const Rules& rules,
               std::vector<Change>& changes) const override {
    if (before.is_null() || now.is_null()) return Codec::compare(before, now, path, rules, changes);
    access.element().compare(before, now, path, rules, changes);
  }
  std::string type_name() const override { return access.element().type_name() + " or null"; }
  bool takes_null() const override { return true; }
  Value schema(const Rules& rules, const void* defaults, Definitions& definitions) const override {
    Value null, schema;
    null["type"] = "null";
    schema["anyOf"] = Value::Array{access.element().schema(rules, nullptr, definitions), null};
    add_default(schema, *this, defaults);
    return schema;
  }
  void rows(const std::string& prefix, const void* source, std::vector<Row>& out) const override {
    access.element().rows(prefix, source ? access.get(source) : nullptr, out);
  }
  void objects(const Value* value, const std::string& path, const Visit& visit) const override {
    access.element().objects(value, path, visit);
  }
  void registries(std::set<const RegistryBase*>& found) const override { access.element().registries(found); }
  OptionalAccess access;
};

struct ListCodec : Codec {
  explicit ListCodec(ListAccess functions) : access(functions) {}
  void read(const Value& value, const std::string& path, const Rules& rules, void* target) const override {
    access.clear(target);
    if (!value.is_array()) fail_no_list(value, path, rules, target);
    check_rules(value, path, rules);
    size_t i = 0;
    for (const Value& element : value.as_array()) {
      access.element().read(element, fmt::format("{}.{}", path, i++), rules, access.append(target));
    }
  }
  Value write(const void* source) const override {
    Value::Array elements;
    for (size_t i = 0; i < access.size(source); ++i) elements.push_back(access.element().write(access.at(source, i)));
    return elements;
  }
  void compare(const Value& before, const Value& now, const std::string& path, const Rules& rules,
               std::vector<Change>& changes) const override {
    const Value::Array &one = before.as_array(), &other = now.as_array();
    if (one.size() != other.size()) return Codec::compare(before, now, path, rules, changes);
    for (size_t i = 0; i < one.size(); ++i)
      access.element().compare(one[i], other[i], fmt::format("{}.{}", path, i), rules, changes);
  }
  std::string type_name() const override { return "list of " + access.element().type_name() + "s"; }
  Value schema(const Rules& rules, const void* defaults, Definitions& definitions) const override {
    Value schema;
    schema["type"] = "array";
    schema["items"] = access.element().schema(rules, nullptr, definitions);
    add_rules(schema, rules);
    add_default(schema, *this, defaults);
    return schema;
  }
  void rows(const std::string& prefix, const void*, std::vector<Row>& out) const override {
    access.element().rows(prefix + "[]", nullptr, out);
  }
  void registries(std::set<const RegistryBase*>& found) const override { access.element().registries(found); }
  ListAccess access;

 private:
  [[noreturn]] void fail_no_list(const Value& value, const std::string& path, const Rules& rules, void* target) const {
    const auto rule = std::find_if(rules.begin(), rules.end(), [](const Rule& r) { return r.kind == Rule::Kind::elements; });
    if (rule == rules.end()) fail_type(value, path, "a list", hint(value, rules, target));
    if (!rule->message.empty()) fail_type(value, path, "a list", "; " + rule->message);
    const int64_t least = rule->choices[0].as_int();
    if (least < 2) fail_type(value, path, "a list", hint(value, rules, target));
    const bool more = rule->choices[1].as_int() > least;
    fail_type(value, path, fmt::format("a list of {}{} {}s", least, more ? " or more" : "", access.element().type_name()),
              "; write them in brackets, with commas between them");
  }

  // How to write what stands for a list of one element, where it can be one.
  std::string hint(const Value& value, const Rules& rules, void* target) const {
    Value alone = value;
    alone.set_position({});  // in a list it is JSON, and not as it was typed
    std::vector<std::pair<Value, std::string>> candidates{{alone, value.is_object() ? "{...}" : short_text(value)}};
    if (const auto words = value_of_words(value)) candidates.emplace_back(*words, dump(*words));
    if (value.is_string())
      candidates.emplace_back(Value::Object{{"type", value}}, fmt::format("{{\"type\": {}}}", short_text(value)));
    for (const auto& [candidate, text] : candidates) {
      if (!candidate.is_null() && takes(access.element(), candidate, rules, access.append(target)))
        return "; write it in brackets: [" + text + "]";
    }
    return "";
  }
};

struct ObjectCodec : Codec {
  explicit ObjectCodec(const ObjectType& (*object)()) : type(object) {}
  void read(const Value& value, const std::string& path, const Rules&, void* target) const override {
    type().read(value, path, target);
  }
  void read_absent(const Position& position, const std::string& path, void* target) const override {
    Value empty(Value::Object{});
    empty.set_position(position);
    type().read(empty, path, target);
  }
  Value write(const void* source) const override {
    Value object(Value::Object{});
    type().write(source, object);
    return object;
  }
  void compare(const Value& before, const Value& now, const std::string& path, const Rules&,
               std::vector<Change>& changes) const override {
    type().compare(before, now, path, changes);
  }
  std::string type_name() const override { return "object"; }
  Value schema(const Rules&, const void* defaults, Definitions& definitions) const override {
    return type().schema(defaults ? defaults : type().defaults(), definitions);
  }
  // Its own type checks each of its options; one that is required may be left open here.
  void check_default(const void*, const Rules&, void*) const override { type(); }
  void rows(const std::string& prefix, const void* source, std::vector<Row>& out) const override {
    type().rows(prefix + ".", source ? source : type().defaults(), out);
  }
  void objects(const Value* value, const std::string& path, const Visit& visit) const override {
    type().objects(value, path, visit);
  }
  void registries(std::set<const RegistryBase*>& found) const override { type().registries(found); }
  const ObjectType& (*type)();
};

}  // namespace

const Codec& CodecOf<bool>::get() {
  static const BoolCodec codec;
  return codec;
}
const Codec& CodecOf<int64_t>::get() {
  static const NumberCodec<int64_t> codec;
  return codec;
}
const Codec& CodecOf<double>::get() {
  static const NumberCodec<double> codec;
  return codec;
}
const Codec& CodecOf<std::string>::get() {
  static const StringCodec codec;
  return codec;
}
const Codec& CodecOf<Value::Object>::get() {
  static const AnyObjectCodec codec;
  return codec;
}

std::unique_ptr<Codec> optional_codec(OptionalAccess access) { return std::make_unique<OptionalCodec>(access); }
std::unique_ptr<Codec> list_codec(ListAccess access) { return std::make_unique<ListCodec>(access); }
std::unique_ptr<Codec> object_codec(const ObjectType& (*type)()) { return std::make_unique<ObjectCodec>(type); }

}  // namespace az::config
