// What happens while a module runs: its scope, its observers, and what keeps modules and tensors that nobody registered from
// going unnoticed.
#include <fmt/format.h>

#include <optional>
#include <set>

#include "core/autograd.h"
#include "nn/module.h"

namespace az::nn {
namespace {

thread_local Observe* innermost_observer = nullptr;

std::string class_of(const Module& module) { return class_name(typeid(module)); }

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

  const Module* module;
  int grad_modes;
  Run* outer;
  static thread_local Run* innermost;
};
thread_local Module::Run* Module::Run::innermost = nullptr;

// An observer's turn: a module that it runs is nobody's part, and is shown to nobody, itself least of all.
struct Module::Turn {
  Turn() { innermost_observer = nullptr; }
  ~Turn() { innermost_observer = watching; }
  Turn(const Turn&) = delete;

  Run nobody{nullptr};
  Observe* watching = innermost_observer;
};

Observe::Observe(Observer& observer) : observer_(observer), outer_(innermost_observer) { innermost_observer = this; }
Observe::~Observe() { innermost_observer = outer_; }

Tensor Module::operator()(const Tensor& x) {
  const auto run = [&] { return forward(x); };
  if (trained_ || Run::innermost || !GradMode::enabled()) return enter(x, run);
  const uint64_t mark = ops_recorded();
  Tensor y = enter(x, run);
  trained_ = false;  // and is asked again where this throws
  check_leaves(x, y, mark);
  trained_ = true;
  return y;
}

Tensor Module::applied(const Tensor& y) {
  return enter(y, [&] { return y; });
}

Tensor Module::enter(const Tensor& x, const std::function<Tensor()>& function) {
  check_belongs(true);
  const Run run(this);
  ran_ = true;
  trained_ |= GradMode::enabled();
  // The root adds nothing to the path, so a module that is still being put together keeps its builder's.
  std::optional<Scope> scope;
  if (!path_.empty()) scope.emplace(path_);
  const auto show = [&](const auto& turn) {
    for (Observe* o = innermost_observer; o; o = o->outer_) {
      const Turn alone;
      try {
        turn(o->observer_);
      } catch (...) {
        rethrow_placed(path_, "observer " + class_name(typeid(o->observer_)));
      }
    }
  };
  show([&](Observer& observer) { observer.before(*this, x); });
  Tensor y;
  try {
    y = function();
    if (!y.defined()) fail("{}: forward gave an undefined tensor", class_of(*this));
  } catch (...) {
    rethrow_placed(path_, class_of(*this));
  }
  show([&](Observer& observer) { observer.after(*this, x, y); });
  return y;
}

bool Module::runs_now() const {
  for (const Run* run = Run::innermost; run && run->module; run = run->outer) {
    if (run->module == this) return true;
  }
  return false;
}

// In another's forward, a module is that one's own or its parts' (or, handed down, that of one further out); or one that cannot
// be meant to train.
void Module::check_belongs(bool runs) const {
  if (moved_) fail("{}: it was moved to another module, and is empty", class_of(*this));
  const Run* caller = Run::innermost;
  if (!caller || !caller->module) return;
  for (const Run* run = caller; run && run->module; run = run->outer) {
    if (run->module == this || run->module->contains(*this)) return;
  }
  if (!GradMode::enabled() && GradMode::depth() > caller->grad_modes) return;  // under a NoGrad of that forward's own

  std::vector<std::string> names;
  bool trains = false;
  for (const Parameter& p : parameters()) {
    names.push_back(p.name);
    trains |= p.tensor.requires_grad();
  }
  if (!names.empty() && !trains) return;
  for (const auto& [name, tensor] : buffers()) names.push_back(name);
  if (names.empty()) {
    const_cast<Module*>(this)->train(caller->module->training_);
    return;
  }
  const std::string who = class_of(*caller->module), what = class_of(*this);
  const std::string remedy =
      fmt::format("keep the nn::Child<{}> that add_child(\"name\", ...) gives as a member, and run child(member)(x)", what);
  if (runs && path_.empty()) {
    fail(
        "{} runs {}, which was not registered with it, so that its {} would not be trained, saved or copied; {}. One that is to "
        "stay as it is, freeze or run under NoGrad",
        who, what, some_of(names), remedy);
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
    if (!is_new) fail("{}: \"{}\" and \"{}\" are one tensor, which a copy would make two of", class_of(*this), at->second, name);
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
