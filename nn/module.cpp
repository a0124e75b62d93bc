#include "nn/module.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <set>
#include <thread>

#include "core/autograd/autograd.h"
#include "core/base/names.h"
#include "core/safetensors.h"
#include "nn/lent_parameter.h"

namespace az::nn {

namespace {

const std::type_info& type_of(const Module& module) { return typeid(module); }

void check_unhooked(const Module& module, const Parameter& p) {
  if (!p.tensor.defined() || !has_hooks(p.tensor)) return;
  fail(
      "{}: the parameter \"{}\" has a hook, which its copy would not have; in forward, give it to a tensor made there, such as "
      "parameter(name).clone()",
      class_of(module), p.name);
}

Tensor copy_of(const Tensor& tensor) {
  if (!tensor.defined()) return {};
  Tensor copy = tensor.detach().clone();
  if (tensor.requires_grad()) copy.set_requires_grad();
  return copy;
}

// Says whether a tensor keeps more holders than before. A thread that evaluates holds it only for an op, a member stays.
bool has_more_holders(const Tensor& tensor, long before) {
  for (int waits = 0; tensor.impl().use_count() > before; ++waits) {
    if (waits == 200) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

std::atomic<uint64_t> next_registration{1};

template <class List> auto find(List& list, const std::string& name) {
  return std::find_if(list.begin(), list.end(), [&](const auto& entry) { return entry.first == name; });
}

auto find(const std::vector<Parameter>& list, const std::string& name) {
  return std::find_if(list.begin(), list.end(), [&](const Parameter& entry) { return entry.name == name; });
}

// "a, b, c and 4 more", or "" for none.
std::string list_of(const std::vector<std::string>& names, const char* title) {
  constexpr size_t shown = 8;
  if (names.empty()) return "";
  std::string text = fmt::format("\n  {}: {}", title,
                                 fmt::join(names.begin(), names.begin() + std::ptrdiff_t(std::min(shown, names.size())), ", "));
  return names.size() > shown ? text + fmt::format(" and {} more", names.size() - shown) : text;
}

}  // namespace

Module::Module(const Module& other) : Made(other), training_(other.training_) {
  for (const Parameter& p : other.parameters_) {
    check_unhooked(other, p);
    parameters_.push_back({p.name, copy_of(p.tensor), p.kind});
  }
  for (const auto& [name, tensor] : other.taken_) taken_.emplace(name, tensor);
  for (const auto& [name, tensor] : other.buffers_) buffers_.emplace_back(name, copy_of(tensor));
  for (const auto& [name, id, child] : other.children_) {
    const Module* module = child.get();
    ModulePtr copy = placed([&] { return module->path_; }, [&] { return module->clone(); });
    if (!copy || type_of(*copy) != type_of(*module)) {
      fail("{}: clone() of its child \"{}\" gave {} instead of {}", class_of(other), name, copy ? class_of(*copy) : "null",
           class_of(*module));
    }
    copy->set_path(name);
    children_.push_back({name, id, std::move(copy)});
  }
}

Module::Module(Module&& other) noexcept
    : Made(other),
      parameters_(std::move(other.parameters_)),
      taken_(std::move(other.taken_)),
      buffers_(std::move(other.buffers_)),
      children_(std::move(other.children_)),
      path_(std::move(other.path_)),
      training_(other.training_),
      moved_(other.moved_),
      ran_(other.ran_.load()),
      trained_(other.trained_.load()) {
  other.moved_ = true;
  if (!path_.empty()) set_path("");
}

ModulePtr Module::checked_copy(const std::type_info& self, const std::function<ModulePtr()>& copy) const {
  return Made::located([&] {
    if (typeid(*this) != self) {
      fail("{0} derives from {1}, whose clone() would leave out what {0} adds; derive it from nn::Layer<{0}, {1}>",
           class_of(*this), class_name(self));
    }
    const auto own = state();
    std::map<std::string, long> holders;
    for (const auto& [name, tensor] : own) holders[name] = tensor.impl().use_count();
    ModulePtr made = copy();
    for (const auto& [name, tensor] : own) {
      if (!has_more_holders(tensor, holders[name])) continue;
      fail(
          "{}: a member keeps the tensor of \"{}\", which a copy would share with its original; take it by parameter(name) or "
          "buffer(name) in forward instead",
          class_of(*this), name);
    }
    return made;
  });
}

std::string Module::below(const Module& module) const {
  if (&module == this) return "";
  return path_.empty() ? module.path_ : module.path_.substr(path_.size() + 1);
}

std::vector<const Module*> Module::modules() const {
  std::vector<const Module*> all{this};
  for (const auto& [name, id, module] : children_) {
    auto below = std::as_const(*module).modules();
    all.insert(all.end(), below.begin(), below.end());
  }
  return all;
}

std::vector<Module*> Module::modules() {
  std::vector<Module*> all;
  for (const Module* module : std::as_const(*this).modules()) all.push_back(const_cast<Module*>(module));
  return all;
}

std::vector<Parameter> Module::parameters() const {
  std::vector<Parameter> all;
  for (const Module* module : modules()) {
    for (const Parameter& p : module->parameters_) {
      if (p.tensor.defined()) all.push_back({join_path(below(*module), p.name), p.tensor, p.kind});
    }
  }
  return all;
}

std::vector<std::pair<std::string, Tensor>> Module::buffers() const {
  std::vector<std::pair<std::string, Tensor>> all;
  for (const Module* module : modules()) {
    for (const auto& [name, tensor] : module->buffers_) {
      if (tensor.defined()) all.emplace_back(join_path(below(*module), name), tensor);
    }
  }
  return all;
}

Module& Module::module(const std::string& path) {
  for (Module* module : modules()) {
    if (below(*module) == path) return *module;
  }
  fail("{}: no module {} in it", describe(), path);
}

int64_t Module::parameter_count() const {
  int64_t count = 0;
  for (const Parameter& p : parameters()) count += p.tensor.numel();
  return count;
}

void Module::train(bool on) {
  for (Module* module : modules()) {
    if (module->training_ != on) module->training_ = on;  // other threads may read it
  }
}

void Module::to(DType type) {
  if (!is_float(type)) fail("Module::to: {} is not a floating type", name_of(type));
  for (Module* module : modules()) {
    module->trained_ = false;  // optimizers are made anew, and tensors kept elsewhere are found out
    for (Parameter& p : module->parameters_) {
      if (!p.tensor.defined() || p.tensor.dtype() == type) continue;
      check_unhooked(*module, p);
      bool trained = p.tensor.requires_grad();
      p.tensor = p.tensor.detach().to(type);
      p.tensor.set_requires_grad(trained);
    }
    for (auto& [name, tensor] : module->buffers_) {
      if (tensor.defined() && is_float(tensor.dtype())) tensor = tensor.to(type);
    }
  }
}

void Module::freeze(const std::string& pattern) {
  bool matched = false;
  for (const Parameter& p : parameters()) {
    if (fnmatch(pattern.c_str(), p.name.c_str(), 0) != 0) continue;
    az::freeze(p);
    matched = true;
  }
  if (!matched)
    throw ConfigError(fmt::format("freeze: no parameter matches \"{}\"; print the module to see its names", pattern));
}

std::map<std::string, Tensor> Module::state() const {
  std::map<std::string, Tensor> all;
  for (const Parameter& p : parameters()) all.emplace(p.name, p.tensor);
  for (const auto& [name, tensor] : buffers()) all.emplace(name, tensor);
  return all;
}

void Module::load_state(const std::map<std::string, Tensor>& state, LoadOptions options) {
  const std::map<std::string, Tensor> own = this->state();
  std::vector<std::string> missing, unexpected, misshapen;
  for (const auto& [name, tensor] : own) {
    auto given = state.find(name);
    if (given == state.end())
      missing.push_back(name);
    else if (!(given->second.shape() == tensor.shape())) {
      misshapen.push_back(fmt::format("{} {} (given {})", name, tensor.shape().str(), given->second.shape().str()));
    }
  }
  for (const auto& [name, tensor] : state) {
    if (!own.contains(name) && !name.ends_with("num_batches_tracked")) unexpected.push_back(name);
  }
  if (!options.strict) missing.clear(), unexpected.clear();
  if (missing.size() + unexpected.size() + misshapen.size() > 0) {
    fail("load_state: the state does not fit the module{}{}{}", list_of(missing, "missing"), list_of(unexpected, "unexpected"),
         list_of(misshapen, "of another shape"));
  }
  NoGrad no_grad;
  for (const auto& [name, tensor] : own) {
    if (auto given = state.find(name); given != state.end()) tensor.copy_(given->second);
  }
}

void Module::save(const std::string& file) const {
  SafeTensors contents;
  for (const auto& [name, tensor] : state()) contents.tensors.emplace(name, tensor.detach());
  write_safetensors(file, contents);
}

void Module::load(const std::string& file, LoadOptions options) {
  SafeTensors contents = read_safetensors(file);
  try {
    load_state(contents.tensors, options);
  } catch (const Error& error) {
    throw DataError(fmt::format("{}: {}", file, error.what()));
  }
}

Evaluating::Evaluating(Module& root) {
  for (Module* module : root.modules()) before_.emplace_back(module, module->training());
  root.eval();
}

Evaluating::~Evaluating() {
  for (auto& [module, mode] : before_) module->train(mode);  // parents first, so that each module's own mode comes last
}

std::string Module::describe() const { return class_of(*this); }

std::string Module::str() const {
  std::string text;
  for (const Module* module : modules()) {
    std::string path = below(*module);
    auto depth = module == this ? 0 : 1 + std::count(path.begin(), path.end(), '.');
    std::string name = module == this ? "" : path.substr(path.rfind('.') + 1) + ": ";
    text += fmt::format("{:{}}{}{}\n", "", 2 * depth, name, module->describe());
  }
  return text;
}

void Module::check_new(const std::string& name) const {
  check_name(class_of(*this) + ":", name, "./");
  if (name == "__metadata__")
    fail("{}: \"{}\" cannot be a name: files of weights keep it for themselves", class_of(*this), name);
  if (find(parameters_, name) != parameters_.end() || find(buffers_, name) != buffers_.end() || has_child(name)) {
    fail("{}: there is a {} already", class_of(*this), name);
  }
  if (runs_now() || trained_) {
    fail(
        "{}: \"{}\" is registered {}; an optimizer made before would not know of it. Register everything in the constructor, "
        "or "
        "build on with a clone()",
        class_of(*this), name, runs_now() ? "in forward" : "after a forward for a gradient");
  }
}

void Module::add_parameter(const std::string& name, const Tensor& value, ParameterKind kind) {
  check_new(name);
  if (value.defined()) {
    placed([&] { return fmt::format("{}: parameter \"{}\"", class_of(*this), name); }, [&] { value.set_requires_grad(); });
  }
  parameters_.push_back({name, value, kind});
}

void Module::add_buffer(const std::string& name, const Tensor& value) {
  check_new(name);
  if (value.defined() && value.requires_grad()) {
    fail("{}: buffer \"{}\" ({}) needs a gradient; add_parameter() it, or give add_buffer() its detach()", class_of(*this),
         name, az::describe(value));
  }
  buffers_.emplace_back(name, value);
}

uint64_t Module::register_child(const std::string& name, ModulePtr child) {
  check_new(name);
  if (!child) fail("{}: the child \"{}\" is null", class_of(*this), name);
  if (!child->path_.empty() || child.get() == this) {
    // Whoever has it already will delete it.
    const Module* taken = child.release();
    fail("{}: the child \"{}\" is registered already, as \"{}\"; give each layer one of its own, as by clone()",
         class_of(*this), name, taken->path_);
  }
  if (child->moved_) fail("{}: the child \"{}\" was moved from", class_of(*this), name);
  child->set_path(join_path(path_, name));
  children_.push_back({name, next_registration++, std::move(child)});
  return children_.back().id;
}

const Tensor& Module::parameter(const std::string& name) const {
  check_may_be_used();
  auto found = find(parameters_, name);
  if (found == parameters_.end()) fail("{}: no parameter {}", class_of(*this), name);
  const auto taken = taken_.find(name);
  if (taken == taken_.end()) return found->tensor;
  const Tensor* lent = LentParameter::find(*this, name);
  return lent ? *lent : taken->second;
}

const Tensor& Module::buffer(const std::string& name) const {
  check_may_be_used();
  auto found = find(buffers_, name);
  if (found == buffers_.end()) fail("{}: no buffer {}", class_of(*this), name);
  return found->second;
}

Module& Module::child(const std::string& name) {
  check_may_be_used();
  for (const ChildEntry& entry : children_) {
    if (entry.name == name) return *entry.module;
  }
  fail("{}: no child {}", class_of(*this), name);
}

Module& Module::child(size_t index) {
  check_may_be_used();
  if (index >= children_.size()) fail("{}: no child {} of {}", class_of(*this), index, children_.size());
  return *children_[index].module;
}

bool Module::has_child(const std::string& name) const {
  return std::any_of(children_.begin(), children_.end(), [&](const ChildEntry& entry) { return entry.name == name; });
}

Module& Module::registered(uint64_t id, size_t index) const {
  check_may_be_used();
  if (id == 0) fail("{}: a Child is empty: add_child() gave it nothing", class_of(*this));
  if (index >= children_.size() || children_[index].id != id)
    fail("{}: a Child was asked for that another module's add_child() gave", class_of(*this));
  return *children_[index].module;
}

bool Module::contains(const Module& module) const {
  return std::any_of(children_.begin(), children_.end(), [&](const auto& entry) { return entry.module.get() == &module; }) ||
         std::any_of(children_.begin(), children_.end(), [&](const auto& entry) { return entry.module->contains(module); });
}

void Module::set_path(const std::string& path) {
  path_ = path;
  for (const auto& [name, id, module] : children_) module->set_path(join_path(path_, name));
}

}  // namespace az::nn
