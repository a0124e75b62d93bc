#pragma once

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>

#include "core/config/value.h"

namespace az::config {

// What a field's value must satisfy; on a list or an optional, what each element must, but for the rules on lists.
struct Rule {
  enum class Kind {
    required,
    at_least,
    more_than,
    at_most,
    less_than,
    one_of,
    share_or_count,
    folder_name,
    path,
    changes_on_resume,
    elements,
    distinct,
    lists,
    no_key
  } kind;
  double bound = 0;
  std::vector<Value> choices = {};
  std::string message = {};
};
using Rules = std::vector<Rule>;

Rule required();  // the key must be there
Rule at_least(double bound);
Rule more_than(double bound);
Rule at_most(double bound);
Rule less_than(double bound);
Rule one_of(std::initializer_list<Value> choices);
Rule share_or_count();     // a number below 1, or a whole one
Rule folder_name();        // a string that is empty or can name a folder
Rule path();               // a string, of a file or folder: counts from the current folder, and is made absolute as it is read
Rule changes_on_resume();  // forbids nothing: a run may go on with another value, as no step taken so far depends on it
// These two rules are for lists: there are so many elements (`message` says it in other words); no two have equal values.
Rule elements(int64_t least, int64_t most, const std::string& message = "");
Rule distinct();
// These two are for objects of any keys: each key holds a list of values that differ; none is `key`, and `message` says why.
Rule lists();
Rule no_key(const std::string& key, const std::string& message);
bool has(const Rules& rules, Rule::Kind kind);

// Says whether a string can name a folder; the text below is what is said of one that cannot.
bool names_folder(const std::string& name);
inline constexpr const char* not_a_folder_name =
    "must be usable as the name of a folder: up to 200 bytes, no / and no control characters";

// The error that invalid() and invalid_option() throw; its place in the config is not known yet.
struct Invalid : ConfigError {
  Invalid(const std::string& key, const std::string& text);
  std::string option, message;
};
// Throws ConfigError; for an options struct's `void validate() const`, where neither rules nor relations can say what is wrong,
// and for a component's factory. Parsing calls them and adds the place.
[[noreturn]] void invalid(const std::string& message);
// Does the same where one option is wrong; the error then gets the place of that option.
[[noreturn]] void invalid_option(const std::string& key, const std::string& message);

struct Row;
class ObjectType;
class RegistryBase;
using Definitions = std::map<std::string, Value>;  // the "$defs" of a JSON Schema

// An option in which two values of one type differ.
struct Change {
  std::string path;  // "optimizer.lr"
  Value before, now;
  Rules rules;  // the option's
};

// How one C++ type is read from JSON, written, and described.
class Codec {
 public:
  virtual ~Codec() = default;
  virtual void read(const Value& value, const std::string& path, const Rules& rules, void* target) const = 0;
  virtual Value write(const void* source) const = 0;
  virtual std::string type_name() const = 0;
  virtual bool takes_null() const { return false; }
  virtual Value schema(const Rules& rules, const void* defaults, Definitions& definitions) const = 0;
  // For a key that is absent: a nested object may still miss keys of its own.
  virtual void read_absent(const Position&, const std::string& /*path*/, void* /*target*/) const {}
  // Adds where two values of this type, as write() gives them, differ: by option within nested ones, in lists by element.
  virtual void compare(const Value& before, const Value& now, const std::string& path, const Rules& rules,
                       std::vector<Change>& changes) const;
  // The rows of nested options; `source` is a value of this type, or nullptr.
  virtual void rows(const std::string& /*prefix*/, const void* /*source*/, std::vector<Row>&) const {}
  // Calls `visit` with the path and the type of each object in a value that is this or lies within it, but not within lists;
  // `value` is what a config gives, or nullptr.
  using Visit = std::function<void(const std::string& path, const ObjectType& type)>;
  virtual void objects(const Value* /*value*/, const std::string& /*path*/, const Visit&) const {}
  // Adds the registries whose components a value can hold, at any depth.
  virtual void registries(std::set<const RegistryBase*>&) const {}
  // Throws for a default that breaks the field's rules or could not be read back. `scratch` is another value of this type.
  virtual void check_default(const void* value, const Rules& rules, void* scratch) const;
};

// One option of an options struct: JSON key, place in the struct, one line of description.
struct Field {
  std::string name;
  std::string description;
  const Codec* codec;
  std::ptrdiff_t offset;
  Rules rules;
  bool required() const { return has(rules, Rule::Kind::required); }
  Value value(const void* options) const { return codec->write(static_cast<const char*>(options) + offset); }
};

// An option that must be given, and keep to rules.
struct Need {
  std::string option;
  Rules rules = {};
};

// A rule that ties options of one struct to one another, where null counts as not given. some_of: one of them has to be given,
// or several; all_or_none: all or none; needs: where the one option is neither null nor false, it needs others.
struct Relation {
  enum class Kind { some_of, all_or_none, needs } kind;
  std::vector<std::string> options;
  std::string message;  // says what is wrong otherwise
  std::vector<Need> needs = {};
};

// One line of `azimuth describe`.
struct Row {
  std::string name, type, default_text, range, description;
};

// What an options struct's `fields` declares, with the type erased.
class ObjectType {
 public:
  using Create = std::shared_ptr<void> (*)();
  using Validate = void (*)(const void*);
  ObjectType(Create create, Validate validate) : create_(create), validate_(validate), defaults_(create()) {}

  void add(Field field);
  void add(Relation relation);  // of options that were added before
  std::shared_ptr<void> make() const { return create_(); }
  const void* defaults() const { return defaults_.get(); }

  // Reads an object over what `target` holds. `type` is a component's: its "type" key is skipped.
  void read(const Value& value, const std::string& path, void* target, bool component = false) const;
  void write(const void* source, Value& object) const;
  // Does what Codec::compare() does; an option that may change on resume is compared as a whole.
  void compare(const Value& before, const Value& now, const std::string& path, std::vector<Change>& changes) const;
  void rows(const std::string& prefix, const void* source, std::vector<Row>& rows) const;
  Value schema(const void* defaults, Definitions& definitions, const std::string& component = "") const;
  const Field* find(const std::string& name) const;  // nullptr: none
  // These two do what Codec's functions of the same names do.
  void objects(const Value* value, const std::string& path, const Codec::Visit& visit) const;
  void registries(std::set<const RegistryBase*>& found) const;
  std::vector<std::string> names() const;

 private:
  const Field& at(const std::string& name) const;  // throws if there is none
  bool is_met(const Need& need, const void* options) const;
  bool is_broken(const Relation& relation, const Value& given, const void* options) const;
  Value schema_of(const Relation& relation, const void* defaults, Definitions& definitions) const;
  std::string range_of(const Field& field) const;  // for people, with what it needs

  Create create_;
  Validate validate_;
  std::shared_ptr<const void> defaults_;
  std::vector<Field> fields_;
  std::vector<Relation> relations_;
};

// CodecOf<T>::get() gives the codec of T.
template <class T> struct CodecOf {
  static_assert(sizeof(T) == 0,
                "an option is a bool, int64_t, double, std::string, optional, vector, options struct or Component");
};

template <class O> class Fields {
 public:
  Fields(ObjectType& type, const O& sample) : type_(type), sample_(reinterpret_cast<const char*>(&sample)), object_(sample) {}

  // Declares one option: f("momentum", &SgdOptions::momentum, "share of the last step that is kept", config::at_least(0)).
  template <class T, class Base, class... R>
  void operator()(const char* name, T Base::*member, const char* description, R... rules) {
    auto offset = reinterpret_cast<const char*>(&(object_.*member)) - sample_;
    type_.add(Field{name, description, &CodecOf<T>::get(), offset, Rules{std::move(rules)...}});
  }
  void some_of(std::vector<std::string> options, const char* message) {
    type_.add(Relation{Relation::Kind::some_of, std::move(options), message});
  }
  void all_or_none(std::vector<std::string> options, const char* message) {
    type_.add(Relation{Relation::Kind::all_or_none, std::move(options), message});
  }
  // f.needs("nesterov", {{"momentum", {config::more_than(0)}}}, "nesterov needs momentum above 0")
  void needs(const char* option, std::vector<Need> needs, const char* message) {
    type_.add(Relation{Relation::Kind::needs, {option}, message, std::move(needs)});
  }

 private:
  ObjectType& type_;
  const char* sample_;
  const O& object_;
};

template <class O> ObjectType make_object_type() {
  ObjectType::Validate validate = nullptr;
  if constexpr (requires(const O& options) { options.validate(); }) {
    validate = [](const void* options) { static_cast<const O*>(options)->validate(); };
  }
  ObjectType type([]() -> std::shared_ptr<void> { return std::make_shared<O>(); }, validate);
  Fields<O> fields(type, *static_cast<const O*>(type.defaults()));
  O::fields(fields);
  return type;
}

template <class O> const ObjectType& object_type() {
  static const ObjectType type = make_object_type<O>();
  return type;
}

template <> struct CodecOf<bool> { static const Codec& get(); };
template <> struct CodecOf<int64_t> { static const Codec& get(); };
template <> struct CodecOf<double> { static const Codec& get(); };
template <> struct CodecOf<std::string> { static const Codec& get(); };
// An object whose keys are not known here: what they mean is the option's own to check. Each keeps its position.
template <> struct CodecOf<Value::Object> { static const Codec& get(); };

// Codecs of wrappers work through these few functions on void pointers.
struct OptionalAccess {
  const Codec& (*element)();
  const void* (*get)(const void*);  // nullptr when empty
  void* (*emplace)(void*);
  void (*reset)(void*);
};
struct ListAccess {
  const Codec& (*element)();
  size_t (*size)(const void*);
  const void* (*at)(const void*, size_t);
  void* (*append)(void*);
  void (*clear)(void*);
};
std::unique_ptr<Codec> optional_codec(OptionalAccess access);
std::unique_ptr<Codec> list_codec(ListAccess access);
std::unique_ptr<Codec> object_codec(const ObjectType& (*type)());

template <class T> struct CodecOf<std::optional<T>> {
  static const Codec& get() {
    using Optional = std::optional<T>;
    static const auto codec = optional_codec({&CodecOf<T>::get,
                                              [](const void* p) -> const void* {
                                                auto& optional = *static_cast<const Optional*>(p);
                                                return optional ? &*optional : nullptr;
                                              },
                                              [](void* p) -> void* { return &static_cast<Optional*>(p)->emplace(); },
                                              [](void* p) { static_cast<Optional*>(p)->reset(); }});
    return *codec;
  }
};

template <class T> struct CodecOf<std::vector<T>> {
  static const Codec& get() {
    using List = std::vector<T>;
    static const auto codec =
        list_codec({&CodecOf<T>::get, [](const void* p) { return static_cast<const List*>(p)->size(); },
                    [](const void* p, size_t i) -> const void* { return &(*static_cast<const List*>(p))[i]; },
                    [](void* p) -> void* { return &static_cast<List*>(p)->emplace_back(); },
                    [](void* p) { static_cast<List*>(p)->clear(); }});
    return *codec;
  }
};

template <class O>
requires requires(Fields<O>& f) { O::fields(f); }
struct CodecOf<O> {
  static const Codec& get() {
    static const auto codec = object_codec(&object_type<O>);
    return *codec;
  }
};

// Reads the value of a whole document: of a key that is unknown it says where else it is known.
void read_document(const Codec& codec, const Value& value, const std::string& path, void* target);
Value schema_document(const Codec& codec);
std::string describe_rows(const std::vector<Row>& rows);

// Reads and checks options (or a list, a component, ...); throws ConfigError "exp.json:6:5: optimizer.momentun: unknown key;
// ...".
template <class T> T parse(const Value& value, const std::string& path = "") {
  T result{};
  read_document(CodecOf<T>::get(), value, path, &result);
  return result;
}

// The options with every default filled in; parse() of it gives the same options.
template <class T> Value to_value(const T& options) { return CodecOf<T>::get().write(&options); }

// Returns the options, checked by the rules that JSON is held to. Throws ConfigError, the path starting with `name`.
template <class T> T checked(const std::string& name, const T& options) { return parse<T>(to_value(options), name); }

// Lists where two values differ, in the order of the options.
template <class T> std::vector<Change> changes(const T& before, const T& now) {
  std::vector<Change> result;
  CodecOf<T>::get().compare(to_value(before), to_value(now), "", {}, result);
  return result;
}

// A JSON Schema (draft 2020-12) for editors.
template <class T> Value schema() { return schema_document(CodecOf<T>::get()); }

// A table of the options: name, type, default, range, description; nested options as `train.epochs`, `groups[].kind`.
template <class O> std::string describe() {
  std::vector<Row> rows;
  object_type<O>().rows("", object_type<O>().defaults(), rows);
  return describe_rows(rows);
}

}  // namespace az::config
