#include "nn/module.h"

#include <cxxabi.h>
#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <typeinfo>

#include "core/autograd.h"
#include "core/safetensors.h"

namespace az::nn {

namespace {

thread_local Observe* innermost = nullptr;

std::string join(const std::string& path, const std::string& name) { return path.empty() ? name : path + "." + name; }

Tensor copy_of(const Tensor& tensor) {
  if (!tensor.defined()) return {};
  Tensor copy = tensor.detach().clone();
  if (tensor.requires_grad()) copy.set_requires_grad();
  return copy;
}

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

Observe::Observe(Observer& observer) : observer_(observer), outer_(innermost) { innermost = this; }
Observe::~Observe() { innermost = outer_; }

Module::Module(const Module& other) : training_(other.training_) {
  for (const Parameter& p : other.parameters_) parameters_.push_back({p.name, copy_of(p.tensor), p.kind});
  for (const auto& [name, tensor] : other.derived_) derived_.emplace(name, tensor.detach());
  for (const auto& [name, tensor] : other.buffers_) buffers_.emplace_back(name, copy_of(tensor));
  for (const auto& [name, module] : other.children_) add_child(name, module->clone());
}

Tensor Module::operator()(const Tensor& x) {
  return enter(x, [&] { return forward(x); });
}

Tensor Module::applied(const Tensor& y) {
  return enter(y, [&] { return y; });
}

Tensor Module::enter(const Tensor& x, const std::function<Tensor()>& function) {
  // The root adds nothing to the path, so a module that is still being put together keeps its builder's.
  std::optional<Scope> scope;
  if (!path_.empty()) scope.emplace(path_);
  for (Observe* o = innermost; o; o = o->outer_) o->observer_.before(*this, x);
  Tensor y = function();
  for (Observe* o = innermost; o; o = o->outer_) o->observer_.after(*this, x, y);
  return y;
}

std::string Module::below(const Module& module) const {
  if (&module == this) return "";
  return path_.empty() ? module.path_ : module.path_.substr(path_.size() + 1);
}

std::vector<const Module*> Module::modules() const {
  std::vector<const Module*> all{this};
  for (const auto& [name, module] : children_) {
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
      if (p.tensor.defined()) all.push_back({join(below(*module), p.name), p.tensor, p.kind});
    }
  }
  return all;
}

std::vector<std::pair<std::string, Tensor>> Module::buffers() const {
  std::vector<std::pair<std::string, Tensor>> all;
  for (const Module* module : modules()) {
    for (const auto& [name, tensor] : module->buffers_) {
      if (tensor.defined()) all.emplace_back(join(below(*module), name), tensor);
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
  for (Module* module : modules()) module->training_ = on;
}

void Module::to(DType type) {
  if (!is_float(type)) fail("Module::to: {} is not a floating type", name_of(type));
  for (Module* module : modules()) {
    for (Parameter& p : module->parameters_) {
      if (!p.tensor.defined() || p.tensor.dtype() == type) continue;
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
  if (!matched) throw ConfigError(fmt::format("freeze: no parameter matches \"{}\"; print the module to see its names", pattern));
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

std::string Module::describe() const {
  int status = 0;
  std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(typeid(*this).name(), nullptr, nullptr, &status),
                                                   &std::free);
  std::string text = status == 0 ? name.get() : typeid(*this).name();
  return text.substr(text.rfind(':') == std::string::npos ? 0 : text.rfind(':') + 1);
}

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
  if (name.empty() || name.find('.') != std::string::npos)
    fail("{}: \"{}\" cannot be a name: empty, or has a dot", describe(), name);
  if (find(parameters_, name) != parameters_.end() || find(buffers_, name) != buffers_.end() || has_child(name)) {
    fail("{}: there is a {} already", describe(), name);
  }
}

void Module::add_parameter(const std::string& name, const Tensor& value, ParameterKind kind) {
  check_new(name);
  if (value.defined()) value.set_requires_grad();
  parameters_.push_back({name, value, kind});
}

void Module::add_buffer(const std::string& name, const Tensor& value) {
  check_new(name);
  buffers_.emplace_back(name, value);
}

Module& Module::add_child(const std::string& name, ModulePtr child) {
  check_new(name);
  child->set_path(join(path_, name));
  return *children_.emplace_back(name, std::move(child)).second;
}

Tensor Module::derive_parameter(const std::string& name) {
  const auto found = std::find_if(parameters_.begin(), parameters_.end(), [&](const Parameter& p) { return p.name == name; });
  if (found == parameters_.end() || !found->tensor.defined()) fail("{}: no parameter {}", describe(), name);
  const Tensor value = found->tensor.detach();
  found->tensor = {};
  return derived_[name] = value;
}

void Module::set_derived(const std::string& name, const Tensor& value) { derived_.at(name) = value; }

const Tensor& Module::parameter(const std::string& name) const {
  if (const auto derived = derived_.find(name); derived != derived_.end()) return derived->second;
  auto found = find(parameters_, name);
  if (found == parameters_.end()) fail("{}: no parameter {}", describe(), name);
  return found->tensor;
}

const Tensor& Module::buffer(const std::string& name) const {
  auto found = find(buffers_, name);
  if (found == buffers_.end()) fail("{}: no buffer {}", describe(), name);
  return found->second;
}

bool Module::has_child(const std::string& name) const { return find(children_, name) != children_.end(); }

Module& Module::child(const std::string& name) {
  auto found = find(children_, name);
  if (found == children_.end()) fail("{}: no child {}", describe(), name);
  return *found->second;
}

void Module::set_path(const std::string& path) {
  path_ = path;
  for (const auto& [name, module] : children_) module->set_path(join(path_, name));
}

}  // namespace az::nn
