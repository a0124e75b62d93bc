#include <fmt/core.h>

#include <algorithm>

#include "core/config/json_document.h"
#include "core/config/options.h"
#include "core/config/rules.h"

namespace az::config {
Value ObjectType::schema_of(const Relation& relation, const void* defaults, Definitions& definitions) const {
  if (relation.kind == Relation::Kind::needs) {
    const Field& option = at(relation.options[0]);
    Value on, needed;
    on["properties"][option.name]["not"]["enum"] = Value::Array{nullptr, false};
    if (!is_on(option.value(defaults))) on["required"] = Value::Array{option.name};
    for (const Need& need : relation.needs) {
      const Field& other = at(need.option);
      Value property = other.codec->schema(need.rules, nullptr, definitions);
      property["not"]["type"] = "null";
      needed["properties"][other.name] = property;
      if (!is_met(need, defaults)) needed["required"].push_back(other.name);
    }
    return Value::Object{{"if", on}, {"then", needed}};
  }
  Value::Array each;
  for (const std::string& name : relation.options) {
    Value given;
    given["required"] = Value::Array{name};
    given["properties"][name]["not"]["type"] = "null";
    each.push_back(given);
  }
  const Value some(Value::Object{{"anyOf", each}});
  if (relation.kind == Relation::Kind::some_of) return some;
  return Value::Object{{"anyOf", Value::Array{Value::Object{{"allOf", each}}, Value::Object{{"not", some}}}}};
}

std::string ObjectType::range_of(const Field& field) const {
  std::string text = range_text(field.rules);
  for (const Relation& relation : relations_) {
    if (relation.kind != Relation::Kind::needs || relation.options[0] != field.name) continue;
    const char* word = text.empty() ? "needs " : ", needs ";
    for (const Need& need : relation.needs) {
      text += word + need.option;
      if (const std::string range = range_text(need.rules); !range.empty()) text += " " + range;
      word = " and ";
    }
  }
  return text;
}

void ObjectType::rows(const std::string& prefix, const void* source, std::vector<Row>& out) const {
  for (const Field& field : fields_) {
    const void* place = static_cast<const char*>(source) + field.offset;
    std::string name = prefix + field.name;
    size_t at = out.size();
    out.push_back({name, field.codec->type_name(), "", range_of(field), field.description});
    field.codec->rows(name, place, out);
    // Nested options show their own defaults below; a component's are its type's to describe.
    Value value = field.codec->write(place);
    if (value.is_object() && value.find("type")) value = Value::Object{{"type", value.at("type")}};
    bool nested_object = out.size() > at + 1 && value.is_object();
    if (!nested_object) out[at].default_text = field.required() ? "(required)" : dump(value);
  }
}

std::string describe_rows(const std::vector<Row>& rows) {
  size_t name = 0, type = 0, default_text = 0, range = 0;
  for (const Row& row : rows) {
    name = std::max(name, row.name.size());
    type = std::max(type, row.type.size());
    default_text = std::max(default_text, row.default_text.size());
    range = std::max(range, row.range.size());
  }
  std::string out;
  for (const Row& row : rows) {
    std::string line = fmt::format("  {:{}}  {:{}}  {:{}}  {:{}}  {}", row.name, name, row.type, type, row.default_text,
                                   default_text, row.range, range, row.description);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

Value ObjectType::schema(const void* defaults, Definitions& definitions, const std::string& component) const {
  Value schema, properties(Value::Object{});
  Value::Array required_keys;
  if (!component.empty()) {
    properties["type"]["const"] = component;
    required_keys.push_back("type");
  }
  for (const Field& field : fields_) {
    const void* place = field.required() ? nullptr : static_cast<const char*>(defaults) + field.offset;
    Value property;
    property["description"] = field.description;
    for (const Member& member : field.codec->schema(field.rules, place, definitions).as_object())
      property[member.key] = member.value;
    properties[field.name] = property;
    if (field.required()) required_keys.push_back(field.name);
  }
  schema["type"] = "object";
  schema["properties"] = properties;
  if (!required_keys.empty()) schema["required"] = required_keys;
  schema["additionalProperties"] = false;
  for (const Relation& relation : relations_) schema["allOf"].push_back(schema_of(relation, defaults, definitions));
  return schema;
}

Value schema_document(const Codec& codec) {
  Definitions definitions;
  Value schema;
  schema["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  for (const Member& member : codec.schema({}, nullptr, definitions).as_object()) schema[member.key] = member.value;
  for (const auto& [name, definition] : definitions) schema["$defs"][name] = definition;
  return schema;
}

}  // namespace az::config
