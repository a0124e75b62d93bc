// What happens while a module runs: its scope, its observers, and what keeps modules and tensors that nobody registered from
// going unnoticed.
#include <fmt/format.h>

#include <cstring>
#include <optional>
#include <set>

#include "core/autograd/autograd.h"
#include "core/ops/elementwise.h"
#include "core/tensor/create.h"
#include "core/tensor/tensor_impl.h"
#include "nn/module.h"

namespace az::nn {
namespace {

thread_local Observe* innermost_observer = nullptr;

std::string some_of(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(names.size(), 3); ++i) text += (i ? ", " : "") + names[i];
  return names.size() > 3 ? text + ", ..." : text;
}

}  // namespace

// A module whose forward is under way on this thread, or, without one, an observer's turn.
struct Module::Run {
  explicit Run(const Module* running) : module(running), grad_modes(GradMode::depth()), outer(innermost) { innermost = this; }
  ~Run() { innermost = outer; }
  Run(const Run&) = delete;

  // The end of the error that it used an undefined tensor: it lists which of its own are undefined.
  std::string without_value() const {
    std::vector<std::string> names;
    for (const Parameter& p : module->parameters_) {
      if (!p.tensor.defined() && !module->taken_.count(p.name)) names.push_back(fmt::format("parameter \"{}\"", p.name));
    }
    for (const auto& [name, tensor] : module->buffers_) {
      if (!tensor.defined()) names.push_back(fmt::format("buffer \"{}\"", name));
    }
    return names.empty() ? "" : fmt::format("; {} registers without a value: {}", class_of(*module), some_of(names));
  }

  const Module* module;
  int grad_modes;
  Run* outer;
  static thread_local Run* innermost;
};
thread_local Module::Run* Module::Run::innermost = nullptr;

// An observer's turn: a module that it runs counts as part of no other, and is shown to no observer.
struct Module::Turn {
  Turn() { innermost_observer = nullptr; }
  ~Turn() { innermost_observer = watching; }
  Turn(const Turn&) = delete;

  Run nobody{nullptr};
  Observe* watching = innermost_observer;
};

Observe::Observe(Observer& observer) : observer_(&observer, [](Observer*) {}), outer_(innermost_observer) {
  innermost_observer = this;
}
Observe::~Observe() { innermost_observer = outer_; }

Tensor Module::operator()(const Tensor& x) {
  return enter(x, [&] { return Pass{forward(x)}; }).result;
}

Tensor Module::applied(const Pass& before) {
  return enter(before.own.defined() ? before.own : before.result, [&] { return Pass{before.result}; }).result;
}

Pass Module::enter(const Tensor& x, const std::function<Pass()>& function) {
  if (Run::innermost) return run(x, function);
  return located([&] { return run(x, function); });
}

// Rethrows with a place in the config: that of the innermost module that has one and whose path the error starts with.
void Module::rethrow_located() const {
  const std::string where = current_exception_place();
  const Made* at = this;
  for (const Module* part : modules()) {
    const std::string& path = part->path_;
    const bool is_within = where.starts_with(path) && (where.size() == path.size() || strchr(".:", where[path.size()]));
    if (is_within && !part->config_place().empty()) at = part;
  }
  az::rethrow_located(at->config_place());
}

bool Module::is_watched(std::initializer_list<const Module*> modules) {
  for (const Observe* o = innermost_observer; o; o = o->outer_) {
    for (const Module* module : modules) {
      if (module && o->observer_->watches(*module)) return true;
    }
  }
  return false;
}

// Looks at the gradient of the result when it comes by: that of the module's own output is what passes the ReLU of it.
void Module::show_gradient(const Observe& to, const Pass& pass) const {
  const Tensor cut = pass.own.defined() && pass.relu ? pass.result.detach() : Tensor();
  pass.result.register_hook([this, cut, attached = std::weak_ptr(to.observer_)](const Tensor& gradient) {
    if (const auto observer = attached.lock()) {
      const Turn alone;
      const NoGrad no_grad;
      const Tensor own =
          cut.defined() ? where(greater(cut, zeros({}, cut.dtype())), gradient, zeros({}, gradient.dtype())) : gradient;
      placed([&] { return path_; }, [&] { observer->gradient(*this, own); }, [&] { return "observer " + class_of(*observer); });
    }
    return Tensor();
  });
}

Pass Module::run(const Tensor& x, const std::function<Pass()>& function) {
  check_belongs(true);
  const Run inside(this);
  const uint64_t mark = ops_recorded();
  if (!ran_) ran_ = true;
  // The root adds nothing to the path, so a module that is still being put together keeps its builder's.
  std::optional<Scope> scope;
  if (!path_.empty()) scope.emplace(path_);
  const auto path = [&] { return path_; };
  const auto show = [&](const auto& turn) {
    for (Observe* o = innermost_observer; o; o = o->outer_) {
      if (!o->observer_->watches(*this)) continue;
      const Turn alone;
      placed(
          path, [&] { turn(*o); }, [&] { return "observer " + class_of(*o->observer_); });
    }
  };
  if (!x.defined()) fail("{}: its input is an undefined tensor; give it a value first", class_of(*this));
  show([&](const Observe& to) { to.observer_->before(*this, x); });
  const auto named = [&] {
    try {
      return function();
    } catch (UndefinedTensor& error) {
      error.add(inside.without_value());
      throw;
    }
  };
  Pass pass = placed(path, named, [&] { return class_of(*this); });
  const Tensor& y = pass.result;
  if (!y.defined()) fail("{}: forward gave an undefined tensor", class_of(*this));
  if (GradMode::enabled() && !trained_) {
    if (!inside.outer) check_leaves(x, y, mark);
    trained_ = true;
  }
  show([&](const Observe& to) {
    to.observer_->after(*this, x, pass.own.defined() ? pass.own : y);
    // The gradient of one that gives its input itself is the input's, through all else that takes it.
    const bool of_its_own = !y.is_leaf() && !y.same(x);
    if (of_its_own && GradMode::enabled() && to.observer_->wants_gradient(*this)) show_gradient(to, pass);
  });
  return pass;
}

bool Module::runs_now() const {
  for (const Run* run = Run::innermost; run && run->module; run = run->outer) {
    if (run->module == this) return true;
  }
  return false;
}

// Throws where another module's forward is under way and this module does not belong there. It belongs if it is a part of one
// whose forward is under way, at whatever depth, if it has no state, or if it is left as it is.
void Module::check_belongs(bool runs) const {
  if (moved_) fail("{}: it was moved to another module, and is empty", class_of(*this));
  const Run* caller = Run::innermost;
  if (!caller || !caller->module) return;
  for (const Run* run = caller; run && run->module; run = run->outer) {
    if (run->module == this || run->module->contains(*this)) return;
  }
  const std::vector<Parameter> trained = parameters();
  const auto kept = buffers();
  const bool has_state = !trained.empty() || !kept.empty();
  if (!has_state && path_.empty()) {
    const_cast<Module*>(this)->train(caller->module->training_);
    return;
  }
  const bool own_no_grad = !GradMode::enabled() && GradMode::depth() > caller->grad_modes;
  const bool trains =
      !own_no_grad && std::any_of(trained.begin(), trained.end(), [](const Parameter& p) { return p.tensor.requires_grad(); });
  const std::vector<const Module*> parts = modules();
  const bool buffers_change = runs && !kept.empty() && std::any_of(parts.begin(), parts.end(), [](const Module* part) {
                                return part->training_ && !part->buffers_.empty();
                              });
  // One without state is there for its mode, which would be that of another network.
  if ((has_state || own_no_grad) && !trains && !buffers_change) return;

  std::vector<std::string> names;
  for (const Parameter& p : trained) names.push_back(p.name);
  for (const auto& [name, tensor] : kept) names.push_back(name);
  const std::string who = class_of(*caller->module), what = class_of(*this);
  const std::string remedy = fmt::format(
      "keep the nn::Child<{}> that add_child(\"name\", ...) gives as a member, and run child(member)(x). One that is to "
      "stay as it is, eval(), and freeze it or run it under NoGrad",
      what);
  if (runs && path_.empty()) {
    fail("{} runs {}, which was not registered with it, so that its {} would not be trained, saved or copied; {}", who, what,
         some_of(names), remedy);
  }
  fail(
      "{} uses {}{}, of another network: to a copy of {}, a pointer, a reference or a captured `this` still means the "
      "original's; {}",
      who, what, path_.empty() ? "" : fmt::format(" \"{}\"", path_), who, remedy);
}

void Module::check_may_be_used() const {
  // One that never ran may be under construction in that forward.
  const Run* caller = Run::innermost;
  if (ran_ && caller && caller->module && caller->module != this) check_belongs(false);
}

void Module::check_leaves(const Tensor& x, const Tensor& y, uint64_t mark) const {
  std::set<const void*> own{x.impl().get()};
  std::map<const void*, std::string> by_memory;
  for (const auto& [name, tensor] : state()) {
    own.insert(tensor.impl().get());
    if (tensor.numel() == 0) continue;
    const auto [at, is_new] = by_memory.emplace(tensor.storage().get(), name);
    if (!is_new)
      fail("{}: \"{}\" and \"{}\" are one tensor, which a copy would make two of", class_of(*this), at->second, name);
  }
  for (const LeafUse& use : leaf_uses(y, mark)) {
    if (own.contains(use.leaf.impl().get())) continue;
    const Scope scope(use.scope);
    fail(
        "{}: takes {}, which needs a gradient and is no parameter of {}: nothing would train, save or copy it. In a layer, "
        "add_parameter() it in the constructor and take parameter(name) in forward, as a member is not followed by clone() and "
        "to(); an input, clone() before the call",
        use.op, az::describe(use.leaf), class_of(*this));
  }
}

}  // namespace az::nn
