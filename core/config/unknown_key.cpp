#include "core/config/unknown_key.h"

#include <algorithm>

#include "core/base/names.h"
#include "core/config/nearest.h"
#include "core/config/registry.h"

namespace az::config {
namespace {

std::string message(const std::string& key, const std::vector<std::string>& known) {
  std::string hint = did_you_mean(key, known);
  if (hint.empty()) hint = known.empty() ? " (it has no options)" : " (known: " + quoted_list(known) + ")";
  return "unknown key" + hint;
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string listed(const std::vector<std::string>& parts, const char* last) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) text += (i == 0 ? "" : i + 1 == parts.size() ? last : ", ") + parts[i];
  return text;
}

// `the optimizers "sgd" and "sgdp"`, which have an option of that name; "" where none has.
std::string owners_text(const RegistryBase& registry, const std::string& option) {
  std::vector<std::string> owners;
  for (const std::string& name : registry.names()) {
    if (has(registry.at(name).options().names(), option)) owners.push_back("\"" + name + "\"");
  }
  if (owners.empty()) return "";
  return fmt::format("the {}{} {}", registry.kind(), owners.size() > 1 ? "s" : "", listed(owners, " and "));
}

// Says where else in this document the key is known. Where it is known nowhere else, and is no misspelling of a key that is
// known where it stands, names the components that have such an option, or the path of the nearest key; "" where there is none.
std::string elsewhere(const Codec& codec, const Value& document, const std::string& path, const UnknownKey& error) {
  const std::string& key = error.key;
  std::vector<std::string> paths, places;
  codec.objects(&document, path, [&](const std::string& object, const ObjectType& type) {
    for (const std::string& name : type.names()) {
      paths.push_back(join_path(object, name));
      if (name == key) places.push_back(object.empty() ? "the top level" : "\"" + object + "\"");
    }
  });
  if (!places.empty() && error.near && error.near->starts_with(key))  // lr of a group, lr_factor, is the optimizer's, too
    return fmt::format("; did you mean \"{}\"? \"{}\" itself belongs in {}", *error.near, key, listed(places, " or "));
  if (!places.empty()) return "; it belongs in " + listed(places, " or ");
  if (error.near) return "";
  // The kinds of component with such an option: one optimizer may have what another has not.
  std::set<const RegistryBase*> registries;
  codec.registries(registries);
  std::set<std::string> owners;
  for (const RegistryBase* registry : registries) {
    if (const std::string text = owners_text(*registry, key); !text.empty()) owners.insert(text);
  }
  if (!owners.empty() && owners.size() < 3) return "; it is an option of " + listed({owners.begin(), owners.end()}, " and of ");
  std::vector<std::string> names;
  for (const std::string& one : paths) names.push_back(one.substr(one.rfind('.') + 1));
  const auto near = nearest(key, names);
  if (!near) return "";
  return fmt::format("; did you mean \"{}\"?", paths[size_t(std::find(names.begin(), names.end(), *near) - names.begin())]);
}

}  // namespace

UnknownKey::UnknownKey(const Position& at, const std::string& full, const std::string& name,
                       const std::vector<std::string>& known)
    : PlacedError(placed_text(at, full, message(name, known))),
      position(at),
      path(full),
      key(name),
      near(nearest(name, known)) {}

void UnknownKey::ask(const RegistryBase& registry, const std::string& type, const std::string& component_path) const {
  const std::string owners = path == join_path(component_path, key) ? owners_text(registry, key) : "";
  if (!owners.empty()) fail_at(position, path, fmt::format("unknown key of \"{}\"; it is an option of {}", type, owners));
}

void read_document(const Codec& codec, const Value& value, const std::string& path, void* target) {
  try {
    codec.read(value, path, {}, target);
  } catch (const UnknownKey& error) {
    const std::string hint = elsewhere(codec, value, path, error);
    if (hint.empty()) throw;
    fail_at(error.position, error.path, "unknown key here" + hint);
  }
}

}  // namespace az::config
