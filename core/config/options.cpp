#include "core/config/options.h"

#include <algorithm>

#include "core/base/names.h"
#include "core/config/json_document.h"
#include "core/config/rules.h"
#include "core/config/unknown_key.h"
#include "core/config/word_error.h"

namespace az::config {
Rule required() { return {Rule::Kind::required}; }
Rule at_least(double bound) { return {Rule::Kind::at_least, bound}; }
Rule more_than(double bound) { return {Rule::Kind::more_than, bound}; }
Rule at_most(double bound) { return {Rule::Kind::at_most, bound}; }
Rule less_than(double bound) { return {Rule::Kind::less_than, bound}; }
Rule one_of(std::initializer_list<Value> choices) { return {Rule::Kind::one_of, 0, choices}; }
Rule share_or_count() { return {Rule::Kind::share_or_count}; }
Rule folder_name() { return {Rule::Kind::folder_name}; }
Rule elements(int64_t least, int64_t most, const std::string& message) {
  return {Rule::Kind::elements, 0, {least, most}, message};
}
Rule distinct() { return {Rule::Kind::distinct}; }
Rule lists() { return {Rule::Kind::lists}; }
Rule no_key(const std::string& key, const std::string& message) { return {Rule::Kind::no_key, 0, {key}, message}; }
Rule path() { return {Rule::Kind::path}; }
Rule changes_on_resume() { return {Rule::Kind::changes_on_resume}; }

bool has(const Rules& rules, Rule::Kind kind) {
  return std::any_of(rules.begin(), rules.end(), [&](const Rule& rule) { return rule.kind == kind; });
}

Invalid::Invalid(const std::string& key, const std::string& text)
    : ConfigError(key.empty() ? text : key + ": " + text), option(key), message(text) {}

void invalid(const std::string& message) { throw Invalid("", message); }
void invalid_option(const std::string& key, const std::string& message) { throw Invalid(key, message); }

void rethrow_at(const Value& value, const std::string& path, const std::string& thrower) {
  try {
    rethrow_placed("", thrower);
  } catch (const PlacedError&) {
    throw;
  } catch (MemoryError& error) {
    error.locate(place_text(value.position(), path));
    throw;
  } catch (const Error& error) {
    const bool about_options = error.code() == Exit::failure || error.code() == Exit::config;
    if (!about_options) throw;
    if (error.located()) throw PlacedError(error.what());  // a part of what is at `path`
    const auto* invalid = dynamic_cast<const Invalid*>(&error);
    if (!invalid || invalid->option.empty())
      fail_at(value.position(), path, invalid && !invalid->message.empty() ? invalid->message : error.what());
    const Value* given = value.find(invalid->option);
    fail_at((given ? *given : value).position(), join_path(path, invalid->option), invalid->message);
  }
}

void Codec::compare(const Value& before, const Value& now, const std::string& path, const Rules& rules,
                    std::vector<Change>& changes) const {
  if (!(before == now)) changes.push_back({path, before, now, rules});
}

void Codec::check_default(const void* value, const Rules& rules, void* scratch) const {
  const Value written = write(value);
  read(written, "default", rules, scratch);
  if (!(parse_text(dump(written), "") == written)) fail("default: {} does not read back as it was", short_text(written));
}

void ObjectType::add(Field field) {
  check_name("option", field.name, ".=\"");  // --set reads path.of.option=value
  const std::string what = fmt::format("option \"{}\"", field.name);
  if (find(field.name)) fail("{} is declared twice", what);
  if (!field.required()) {
    const std::shared_ptr<void> scratch = make();
    try {
      field.codec->check_default(static_cast<const char*>(defaults()) + field.offset, field.rules,
                                 static_cast<char*>(scratch.get()) + field.offset);
    } catch (const Error& error) {
      fail("{}: {}", what, error.what());
    }
  }
  fields_.push_back(std::move(field));
}

void ObjectType::add(Relation relation) {
  bool has_defaults = true;
  for (const std::string& name : relation.options) has_defaults &= !at(name).required();
  for (const Need& need : relation.needs) has_defaults &= !at(need.option).required();
  if (relation.kind == Relation::Kind::needs && has_defaults && is_broken(relation, {}, defaults()))
    fail("default: {}", relation.message);
  relations_.push_back(std::move(relation));
}

bool ObjectType::is_met(const Need& need, const void* options) const {
  const Field& field = at(need.option);
  const Value value = field.value(options);
  const std::shared_ptr<void> scratch = make();
  return !value.is_null() && takes(*field.codec, value, need.rules, static_cast<char*>(scratch.get()) + field.offset);
}

bool ObjectType::is_broken(const Relation& relation, const Value& given, const void* options) const {
  if (relation.kind == Relation::Kind::needs) {
    const auto is_unmet = [&](const Need& need) { return !is_met(need, options); };
    return is_on(at(relation.options[0]).value(options)) && std::any_of(relation.needs.begin(), relation.needs.end(), is_unmet);
  }
  const auto count = std::count_if(relation.options.begin(), relation.options.end(), [&](const std::string& name) {
    const Value* option = given.find(name);
    return option && !option->is_null();
  });
  return relation.kind == Relation::Kind::some_of ? count == 0 : count > 0 && count < std::ssize(relation.options);
}

const Field& ObjectType::at(const std::string& name) const {
  const Field* field = find(name);
  if (!field) fail("a relation is about \"{}\", which is no option declared before it", name);
  return *field;
}

const Field* ObjectType::find(const std::string& name) const {
  auto found = std::find_if(fields_.begin(), fields_.end(), [&](const Field& field) { return field.name == name; });
  return found == fields_.end() ? nullptr : &*found;
}

void ObjectType::read(const Value& value, const std::string& path, void* target, bool component) const {
  if (!value.is_object()) fail_at(value.position(), path, "expected an object, got " + short_text(value));
  for (const Member& member : value.as_object()) {
    if (component && member.key == "type") continue;
    std::string member_path = join_path(path, member.key);
    if (const Field* field = find(member.key)) {
      if (member.value.is_null() && !field->required() && !field->codec->takes_null()) {
        fail_at(
            member.value.position(), member_path,
            fmt::format("expected {}, got null; leave the key out for its default", with_article(field->codec->type_name())));
      }
      field->codec->read(member.value, member_path, field->rules, static_cast<char*>(target) + field->offset);
      continue;
    }
    throw UnknownKey(member.position, member_path, member.key, names());
  }
  for (const Field& field : fields_) {
    if (value.find(field.name)) continue;
    std::string field_path = join_path(path, field.name);
    if (field.required()) fail_at(value.position(), field_path, "required key is missing");
    field.codec->read_absent(value.position(), field_path, static_cast<char*>(target) + field.offset);
  }
  for (const Relation& relation : relations_) {
    if (is_broken(relation, value, target)) fail_at(value.position(), path, relation.message);
  }
  try {
    if (validate_) validate_(target);
  } catch (...) {
    rethrow_at(value, path);
  }
}

void ObjectType::objects(const Value* value, const std::string& path, const Codec::Visit& visit) const {
  visit(path, *this);
  for (const Field& field : fields_) {
    const Value* given = value && value->is_object() ? value->find(field.name) : nullptr;
    field.codec->objects(given, join_path(path, field.name), visit);
  }
}

void ObjectType::registries(std::set<const RegistryBase*>& found) const {
  for (const Field& field : fields_) field.codec->registries(found);
}

std::vector<std::string> ObjectType::names() const {
  std::vector<std::string> names;
  for (const Field& field : fields_) names.push_back(field.name);
  return names;
}

void ObjectType::write(const void* source, Value& object) const {
  for (const Field& field : fields_) object[field.name] = field.value(source);
}

void ObjectType::compare(const Value& before, const Value& now, const std::string& path, std::vector<Change>& changes) const {
  for (const Field& field : fields_) {
    const Value &one = before.at(field.name), &other = now.at(field.name);
    const std::string place = join_path(path, field.name);
    if (has(field.rules, Rule::Kind::changes_on_resume)) {
      field.codec->Codec::compare(one, other, place, field.rules, changes);
    } else {
      field.codec->compare(one, other, place, field.rules, changes);
    }
  }
}

}  // namespace az::config
