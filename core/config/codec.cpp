#include <fmt/core.h>

#include "core/config/options.h"
#include "core/config/rules.h"

namespace az::config {
namespace {

[[noreturn]] void fail_type(const Value& value, const std::string& path, const std::string& expected) {
  fail_at(value.position(), path, fmt::format("expected {}, got {}", expected, short_text(value)));
}

void add_default(Value& schema, const Codec& codec, const void* defaults) {
  if (defaults) schema["default"] = codec.write(defaults);
}

struct BoolCodec : Codec {
  void read(const Value& value, const std::string& path, const Rules&, void* target) const override {
    if (!value.is_bool()) fail_type(value, path, "true or false");
    *static_cast<bool*>(target) = value.as_bool();
  }
  Value write(const void* source) const override { return *static_cast<const bool*>(source); }
  std::string type_name() const override { return "boolean"; }
  Value schema(const Rules&, const void* defaults, Definitions&) const override {
    Value schema;
    schema["type"] = "boolean";
    add_default(schema, *this, defaults);
    return schema;
  }
};

template <class T> struct NumberCodec : Codec {
  static constexpr bool integral = std::is_same_v<T, int64_t>;
  void read(const Value& value, const std::string& path, const Rules& rules, void* target) const override {
    if (integral ? !value.is_int() : !value.is_number()) fail_type(value, path, integral ? "an integer" : "a number");
    check_rules(value, path, rules);
    if constexpr (integral) {
      *static_cast<T*>(target) = value.as_int();
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
    add_default(schema, *this, defaults);
    return schema;
  }
};

struct StringCodec : Codec {
  void read(const Value& value, const std::string& path, const Rules& rules, void* target) const override {
    if (!value.is_string()) fail_type(value, path, "a string");
    check_rules(value, path, rules);
    *static_cast<std::string*>(target) = value.as_string();
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
};

struct AnyObjectCodec : Codec {
  void read(const Value& value, const std::string& path, const Rules&, void* target) const override {
    if (!value.is_object()) fail_type(value, path, "an object");
    *static_cast<Value::Object*>(target) = value.as_object();
  }
  Value write(const void* source) const override { return *static_cast<const Value::Object*>(source); }
  std::string type_name() const override { return "object"; }
  Value schema(const Rules&, const void* defaults, Definitions&) const override {
    Value schema;
    schema["type"] = "object";
    add_default(schema, *this, defaults);
    return schema;
  }
};

struct OptionalCodec : Codec {
  explicit OptionalCodec(OptionalAccess functions) : access(functions) {}
  void read(const Value& value, const std::string& path, const Rules& rules, void* target) const override {
    access.reset(target);
    if (!value.is_null()) access.element().read(value, path, rules, access.emplace(target));
  }
  Value write(const void* source) const override {
    const void* element = access.get(source);
    return element ? access.element().write(element) : Value();
  }
  std::string type_name() const override { return access.element().type_name() + " or null"; }
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
  OptionalAccess access;
};

struct ListCodec : Codec {
  explicit ListCodec(ListAccess functions) : access(functions) {}
  void read(const Value& value, const std::string& path, const Rules& rules, void* target) const override {
    if (!value.is_array()) fail_type(value, path, "a list");
    access.clear(target);
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
  std::string type_name() const override { return "list of " + access.element().type_name() + "s"; }
  Value schema(const Rules& rules, const void* defaults, Definitions& definitions) const override {
    Value schema;
    schema["type"] = "array";
    schema["items"] = access.element().schema(rules, nullptr, definitions);
    add_default(schema, *this, defaults);
    return schema;
  }
  void rows(const std::string& prefix, const void*, std::vector<Row>& out) const override {
    access.element().rows(prefix + "[]", nullptr, out);
  }
  ListAccess access;
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
  std::string type_name() const override { return "object"; }
  Value schema(const Rules&, const void* defaults, Definitions& definitions) const override {
    return type().schema(defaults ? defaults : type().defaults(), definitions);
  }
  // Its own type checks each of its options; one that is required may be left open here.
  void check_default(const void*, const Rules&, void*) const override { type(); }
  void rows(const std::string& prefix, const void* source, std::vector<Row>& out) const override {
    type().rows(prefix + ".", source ? source : type().defaults(), out);
  }
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
