#include "core/config/registry.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/base/names.h"
#include "core/config/nearest.h"
#include "core/config/rules.h"
#include "core/config/unknown_key.h"

namespace az::config {
namespace {

thread_local int built_ins = 0;

}  // namespace

BuiltIn::BuiltIn() { ++built_ins; }
BuiltIn::~BuiltIn() { --built_ins; }
bool BuiltIn::lives() { return built_ins > 0; }

void RegistryBase::add(Entry entry) {
  check_name(kind_, entry.name, "/~%\\\"");  // it stands in a schema's addresses
  entry.kind = kind_;
  entry.built_in = BuiltIn::lives();
  const std::string what = fmt::format("{} \"{}\"", kind_, entry.name);
  if (const Entry* taken = find(entry.name)) {
    fail("{} is {}", what, taken->built_in ? "built in; choose another name" : "registered already; register each name once");
  }
  placed([&] { return what; },
         [&] {
           if (entry.options().find("type")) fail("an option cannot be called \"type\", which chooses among the {}s", kind_);
         });
  entries_.emplace(entry.name, std::move(entry));
}

const RegistryBase::Entry* RegistryBase::find(const std::string& name) const {
  auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : &found->second;
}

std::string RegistryBase::unknown(const std::string& name) const {
  return fmt::format("unknown {} {}{} (known: {})", kind_, short_text(name), did_you_mean(name, names()), quoted_list(names()));
}

const RegistryBase::Entry& RegistryBase::at(const std::string& name) const {
  const Entry* entry = find(name);
  if (!entry) throw ConfigError(unknown(name));
  return *entry;
}

std::vector<std::string> RegistryBase::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

std::string RegistryBase::describe(const std::string& name) const {
  const Entry& entry = at(name);
  std::vector<Row> rows;
  entry.options().rows("", entry.options().defaults(), rows);
  return fmt::format("{} \"{}\": {}\n{}", kind_, name, entry.description, describe_rows(rows));
}

Value RegistryBase::schema(Definitions& definitions) const {
  std::string definition_name = kind_;  // part of an address, so without spaces
  std::replace(definition_name.begin(), definition_name.end(), ' ', '_');
  if (definitions.try_emplace(definition_name).second) {
    Value::Array names, cases;
    for (const auto& [name, entry] : entries_) {
      std::string key = definition_name + "." + name;
      names.push_back(name);
      Value type, one;
      type["properties"]["type"]["const"] = name;
      one["if"] = type;
      one["then"]["$ref"] = "#/$defs/" + key;
      cases.push_back(one);
      Value definition;
      definition["description"] = entry.description;
      for (Member& member : entry.options().schema(entry.options().defaults(), definitions, name).as_object()) {
        definition[member.key] = member.value;
      }
      definitions[key] = definition;
    }
    Value choice;
    choice["type"] = "object";
    choice["properties"]["type"]["enum"] = names;
    choice["required"] = Value::Array{"type"};
    if (!cases.empty()) choice["allOf"] = cases;
    definitions[definition_name] = choice;
  }
  Value reference;
  reference["$ref"] = "#/$defs/" + definition_name;
  return reference;
}

ComponentBase::ComponentBase(const RegistryBase& registry, const std::string& type) : entry_(&registry.at(type)) {
  auto options = entry_->options().make();
  entry_->options().read(Value::Object{}, type, options.get());  // a required option cannot be left to a default
  options_ = std::move(options);
}

ComponentBase::ComponentBase(const RegistryBase& registry, const ObjectType* type, std::shared_ptr<const void> options)
    : options_(std::move(options)) {
  for (const std::string& name : registry.names()) {
    const RegistryBase::Entry& entry = registry.at(name);
    if (&entry.options() != type) continue;
    if (entry_) fail("the options are those of the {}s \"{}\" and \"{}\" alike", entry.kind, entry_->name, name);
    entry_ = &entry;
  }
  if (!entry_) fail("no {} has such options; register it first", registry.kind());
}

const RegistryBase::Entry& ComponentBase::entry() const {
  if (!entry_) fail("the component is empty");
  return *entry_;
}

void ComponentBase::check_options(const ObjectType* type) const {
  if (&entry().options() != type) fail("the options of \"{}\" are of another type than asked for", entry().name);
}

Value ComponentBase::to_value() const {
  Value object;
  object["type"] = type();
  entry().options().write(options_.get(), object);
  return object;
}

void ComponentBase::rethrow_with_place() const {
  const std::string thrower = fmt::format("{} \"{}\"", entry().kind, entry().name);
  if (!given_) rethrow_placed("", thrower);
  rethrow_at(*given_, path_, thrower);
}

class ComponentCodec : public Codec {
 public:
  explicit ComponentCodec(const RegistryBase& registry) : registry_(registry) {}

  void read(const Value& value, const std::string& path, const Rules&, void* target) const override {
    if (!value.is_object()) {
      const auto name = value.is_string() ? nearest(value.as_string(), registry_.names()) : std::nullopt;
      const std::string hint = name                ? fmt::format("; write {{\"type\": \"{}\"}}", *name)
                               : value.is_string() ? fmt::format(" (known: {})", quoted_list(registry_.names()))
                                                   : "";
      fail_at(value.position(), path, fmt::format("expected an object with a \"type\", got {}{}", short_text(value), hint));
    }
    std::string type_path = join_path(path, "type");
    const Value* type = value.find("type");
    std::string known = quoted_list(registry_.names());
    if (!type) {
      const auto& members = value.as_object();
      const auto meant = std::find_if(members.begin(), members.end(), [](const Member& member) {
        return nearest(member.key, {"type"}) || member.key == "kind" || member.key == "name";
      });
      const std::string hint = meant == members.end() ? "" : fmt::format("; write it instead of \"{}\"", meant->key);
      fail_at(value.position(), type_path, fmt::format("required key is missing{} (known: {})", hint, known));
    }
    if (!type->is_string()) fail_at(type->position(), type_path, "expected a string, got " + short_text(*type));
    const RegistryBase::Entry* entry = registry_.find(type->as_string());
    if (!entry) fail_at(type->position(), type_path, registry_.unknown(type->as_string()));
    auto options = entry->options().make();
    try {
      entry->options().read(value, path, options.get(), true);
    } catch (const UnknownKey& error) {
      error.ask(registry_, entry->name, path);
      throw;
    }
    auto& component = *static_cast<ComponentBase*>(target);
    component.entry_ = entry;
    component.options_ = std::move(options);
    component.given_ = std::make_shared<const Value>(value);
    component.path_ = path;
  }

  Value write(const void* source) const override {
    const auto& component = *static_cast<const ComponentBase*>(source);
    return component ? component.to_value() : Value();
  }

  void compare(const Value& before, const Value& now, const std::string& path, const Rules& rules,
               std::vector<Change>& changes) const override {
    const Value &one = before.at("type"), &other = now.at("type");
    if (!(one == other)) return Codec::compare(one, other, path + ".type", rules, changes);
    registry_.at(one.as_string()).options().compare(before, now, path, changes);
  }

  std::string type_name() const override { return registry_.kind(); }

  Value schema(const Rules&, const void* defaults, Definitions& definitions) const override {
    Value schema = registry_.schema(definitions);
    if (defaults) schema["default"] = write(defaults);
    return schema;
  }

  void objects(const Value* value, const std::string& path, const Visit& visit) const override {
    const Value* type = value && value->is_object() ? value->find("type") : nullptr;
    const RegistryBase::Entry* entry = type && type->is_string() ? registry_.find(type->as_string()) : nullptr;
    if (entry) entry->options().objects(value, path, visit);
  }
  void registries(std::set<const RegistryBase*>& found) const override {
    if (!found.insert(&registry_).second) return;
    for (const std::string& name : registry_.names()) registry_.at(name).options().registries(found);
  }

  void check_default(const void* value, const Rules& rules, void* scratch) const override {
    if (!*static_cast<const ComponentBase*>(value))
      fail("a component must be required(), have a default type, or be std::optional");
    Codec::check_default(value, rules, scratch);
  }

 private:
  const RegistryBase& registry_;
};

std::unique_ptr<Codec> component_codec(const RegistryBase& registry) { return std::make_unique<ComponentCodec>(registry); }

}  // namespace az::config
