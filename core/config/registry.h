#pragma once

#include <functional>

#include "core/config/made.h"
#include "core/config/options.h"

namespace az::config {

// While one lives, what is registered comes with Azimuth.
class BuiltIn {
 public:
  BuiltIn();
  ~BuiltIn();
  BuiltIn(const BuiltIn&) = delete;
  static bool lives();
};

// The type-erased half of a registry: the things of one kind ("layer") that JSON can name by "type".
class RegistryBase {
 public:
  struct Entry {
    std::string name;
    std::string description;
    const ObjectType& (*options)();
    std::shared_ptr<const void> factory;
    std::string kind = {};
    bool built_in = false;
  };

  explicit RegistryBase(std::string kind) : kind_(std::move(kind)) {}

  const std::string& kind() const { return kind_; }
  void add(Entry entry);                               // throws if the name is taken or unfit, or the options break a rule
  const Entry* find(const std::string& name) const;    // nullptr if unknown
  const Entry& at(const std::string& name) const;      // throws ConfigError with the nearest name
  std::string unknown(const std::string& name) const;  // the message for a name that is unknown
  std::vector<std::string> names() const;              // sorted
  std::string describe(const std::string& name) const;
  Value schema(Definitions& definitions) const;

 private:
  std::string kind_;
  std::map<std::string, Entry> entries_;
};

// A registered thing chosen by name together with its checked options, not yet built. Cheap to copy; may be empty.
class ComponentBase {
 public:
  ComponentBase() = default;
  ComponentBase(const RegistryBase& registry, const std::string& type);
  // Takes the one type that has these options. They are checked when a config is, or when the component is created.
  ComponentBase(const RegistryBase& registry, const ObjectType* type, std::shared_ptr<const void> options);

  explicit operator bool() const { return entry_ != nullptr; }
  const std::string& type() const { return entry().name; }
  Value to_value() const;
  // Says where in the config it stands, in the words of Made::config_place().
  std::string place() const { return given_ ? place_text(given_->position(), path_) : ""; }

  // Calls f; an error about the options gets their place in the config.
  template <class F> auto placed(F&& f) const {
    try {
      return f();
    } catch (...) {
      rethrow_with_place();
    }
  }

  // Throws if the component is of a type with other options.
  template <class O> const O& options() const {
    check_options(&object_type<O>());
    return *static_cast<const O*>(options_.get());
  }

 protected:
  template <class, class, class...> friend class Registry;
  friend class ComponentCodec;

  const RegistryBase::Entry& entry() const;  // throws if empty
  void check_options(const ObjectType* type) const;
  // Called while an error is being handled: throws it again, saying where in the config the component stands.
  [[noreturn]] void rethrow_with_place() const;

  const RegistryBase::Entry* entry_ = nullptr;
  std::shared_ptr<const void> options_;
  std::shared_ptr<const Value> given_;  // in the config, with its places; none for a type by name
  std::string path_;
};

// One kind of component, e.g. struct LayerRegistry : Registry<LayerRegistry, std::unique_ptr<Module>, const Shape&>
// with `static constexpr const char* kind = "layer";`. Factories take (options, Args...). A kind may also have
// `static void register_builtin()`, called before anybody else's are added; `static void check_name(name)`, which throws for
// names that it cannot use; and `static void check(made, args...)`, which throws for what a factory should not have made.
// Results, or what they point to, derive from Made where code that others may have written runs in them later.
template <class Tag, class Result, class... Args> class Registry {
 public:
  template <class O, class Factory> static void add(const std::string& name, const std::string& description, Factory factory) {
    known();
    if constexpr (requires { Tag::check_name(name); }) Tag::check_name(name);
    auto erased = [factory, name](const void* options, Args... args) -> Result {
      Result made = factory(*static_cast<const O*>(options), std::forward<Args>(args)...);
      if constexpr (requires { made == nullptr; }) {
        if (made == nullptr) fail("the factory of \"{}\" returned null", name);
      }
      if constexpr (requires { Tag::check(made, args...); }) Tag::check(made, args...);
      return made;
    };
    base().add({name, description, &object_type<O>, std::make_shared<const Function>(std::move(erased))});
  }

  // Returns the registry, after registering what comes with Azimuth.
  static const RegistryBase& known() {
    if constexpr (requires { Tag::register_builtin(); }) {
      if (!BuiltIn::lives()) Tag::register_builtin();
    }
    return base();
  }
  static std::vector<std::string> names() { return base().names(); }
  static std::string describe(const std::string& name) { return base().describe(name); }

  static Result create(const ComponentBase& component, Args... args) {
    const auto& factory = *static_cast<const Function*>(component.entry().factory.get());
    Result made = component.placed([&] { return factory(component.options_.get(), std::forward<Args>(args)...); });
    if constexpr (requires { made->config_place(); }) {
      made->config_place_ = component.place();
    } else if constexpr (requires { made.config_place(); }) {
      made.config_place_ = component.place();
    }
    return made;
  }

  static RegistryBase& base() {
    static RegistryBase registry(Tag::kind);
    return registry;
  }

 private:
  using Function = std::function<Result(const void*, Args...)>;
};

// An option that holds a component of registry R: JSON {"type": NAME, ...options}. Declare it required(), give it a default
// type by name, or make it std::optional.
template <class R> class Component : public ComponentBase {
 public:
  Component() = default;
  explicit Component(const std::string& type) : ComponentBase(R::base(), type) {}
  // Takes options as C++ has them: SgdOptions{.lr = 0.1}. Throws if no registered type has such options, or several have.
  template <class O>
  requires requires(Fields<O>& f) { O::fields(f); }
  Component(O options) : ComponentBase(R::known(), &object_type<O>(), std::make_shared<const O>(std::move(options))) {}

  // Builds it. An error gets the component's place in the config.
  template <class... Args> auto create(Args&&... args) const { return R::create(*this, std::forward<Args>(args)...); }
};

std::unique_ptr<Codec> component_codec(const RegistryBase& registry);

template <class R> struct CodecOf<Component<R>> {
  static const Codec& get() {
    static const auto codec = component_codec(R::base());
    return *codec;
  }
};

}  // namespace az::config
