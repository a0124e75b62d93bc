#include "core/config/options.h"

#include <algorithm>

#include "core/config/json_document.h"
#include "core/config/nearest.h"
#include "core/error.h"
#include "core/names.h"

namespace az::config {
namespace {

std::string join(const std::string& path, const std::string& key) { return path.empty() ? key : path + "." + key; }

}  // namespace

Rule required() { return {Rule::Kind::required}; }
Rule at_least(double bound) { return {Rule::Kind::at_least, bound}; }
Rule more_than(double bound) { return {Rule::Kind::more_than, bound}; }
Rule at_most(double bound) { return {Rule::Kind::at_most, bound}; }
Rule less_than(double bound) { return {Rule::Kind::less_than, bound}; }
Rule one_of(std::initializer_list<const char*> choices) {
  return {Rule::Kind::one_of, 0, std::vector<std::string>(choices.begin(), choices.end())};
}

Invalid::Invalid(const std::string& key, const std::string& text)
    : ConfigError(key.empty() ? text : key + ": " + text), option(key), message(text) {}

void invalid(const std::string& message) { throw Invalid("", message); }
void invalid_option(const std::string& key, const std::string& message) { throw Invalid(key, message); }

void fail_at(const Value& value, const std::string& path, const Invalid& error) {
  if (error.option.empty()) fail_at(value.position(), path, error.message);
  const Value* given = value.find(error.option);
  fail_at((given ? *given : value).position(), join(path, error.option), error.message);
}

bool Field::required() const {
  return std::any_of(rules.begin(), rules.end(), [](const Rule& rule) { return rule.kind == Rule::Kind::required; });
}

void Codec::check_default(const void* value, const Rules& rules, void* scratch) const {
  const Value written = write(value);
  read(written, "default", rules, scratch);
  if (!(parse_text(dump(written), "") == written)) fail("default: {} does not read back as it was", short_text(written));
}

void ObjectType::add(Field field) {
  check_name("option", field.name, ".");
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

const Field* ObjectType::find(const std::string& name) const {
  auto found = std::find_if(fields_.begin(), fields_.end(), [&](const Field& field) { return field.name == name; });
  return found == fields_.end() ? nullptr : &*found;
}

void ObjectType::read(const Value& value, const std::string& path, void* target, bool component) const {
  if (!value.is_object()) fail_at(value.position(), path, "expected an object, got " + short_text(value));
  for (const Member& member : value.as_object()) {
    if (component && member.key == "type") continue;
    std::string member_path = join(path, member.key);
    if (const Field* field = find(member.key)) {
      field->codec->read(member.value, member_path, field->rules, static_cast<char*>(target) + field->offset);
      continue;
    }
    std::vector<std::string> known;
    for (const Field& field : fields_) known.push_back(field.name);
    std::string hint = did_you_mean(member.key, known);
    if (hint.empty()) hint = known.empty() ? " (it has no options)" : " (known: " + quoted_list(known) + ")";
    fail_at(member.position, member_path, "unknown key" + hint);
  }
  for (const Field& field : fields_) {
    if (value.find(field.name)) continue;
    std::string field_path = join(path, field.name);
    if (field.required()) fail_at(value.position(), field_path, "required key is missing");
    field.codec->read_absent(value.position(), field_path, static_cast<char*>(target) + field.offset);
  }
  try {
    if (validate_) validate_(target);
  } catch (const Invalid& error) {
    fail_at(value, path, error);
  } catch (const Error&) {
    throw;
  } catch (...) {
    fail_at(value.position(), path, current_exception_text());
  }
}

void ObjectType::write(const void* source, Value& object) const {
  for (const Field& field : fields_) {
    object[field.name] = field.codec->write(static_cast<const char*>(source) + field.offset);
  }
}

}  // namespace az::config
