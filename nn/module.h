#pragma once

#include <atomic>
#include <concepts>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include "core/config/made.h"
#include "core/tensor/parameter.h"
#include "core/tensor/tensor.h"

namespace az::nn {

class Module;
using ModulePtr = std::unique_ptr<Module>;

// Sees every module that runs on its thread and that it watches, outermost first, but for those that observers run; attach one
// with Observe. A module that computes in one pass with its neighbours is shown with its own input and output.
class Observer {
 public:
  virtual ~Observer() = default;
  // Says whether to show it a module at all. What nobody is to be shown is not computed beside the pass that it is part of.
  virtual bool watches(const Module& /*module*/) const { return true; }
  virtual void before(const Module& /*module*/, const Tensor& /*input*/) {}
  virtual void after(const Module& /*module*/, const Tensor& /*input*/, const Tensor& /*output*/) {}
  // Says whether gradient() is to be called for a module that has just run.
  virtual bool wants_gradient(const Module& /*module*/) { return false; }
  // Gets the whole gradient of the module's output, row-major, in each backward pass through it on this thread, as long as the
  // observer is attached; not of one that gives its input itself. The module has to be there still.
  virtual void gradient(const Module& /*module*/, const Tensor& /*gradient*/) {}
};

// Attaches an observer to this thread for as long as it lives.
class Observe {
 public:
  explicit Observe(Observer& observer);
  ~Observe();
  Observe(const Observe&) = delete;

 private:
  friend class Module;
  std::shared_ptr<Observer> observer_;  // owns nothing: who holds it weakly knows when it was detached
  Observe* outer_;
};

// What comes of a module in one pass with what follows it: relu(own + residual), each where asked for. `own` is what the module
// gives by itself; undefined where that is the result, or where nobody watches a module that gets or gives it.
struct Pass {
  Tensor result, own = {};
  bool relu = false;
};

// What add_child() gives for a module that it took: kept as a member, and used as child(member)(x). It holds no pointer, so a
// copy of the layer that keeps it means the copy's own child. Empty until add_child() gives one.
template <std::derived_from<Module> M> class Child {
 public:
  Child() = default;
  explicit operator bool() const { return id_ != 0; }
  template <class X> Tensor operator()(const X&) const {
    static_assert(sizeof(X) == 0, "a Child only names a module of the layer it is kept in: write child(member)(x)");
    return {};
  }

 private:
  friend Module;
  Child(uint64_t id, size_t index) : id_(id), index_(index) {}
  uint64_t id_ = 0;  // of the registration; copies of the layer have the same
  size_t index_ = 0;
};

// A piece of a network: named parameters, buffers and children, registered in the constructor and owned here, and a function of
// one tensor. Write one's own by deriving from Layer<Self> below; all else (modes, copies, files, counts, printing) is generic.
class Module : public config::Made {
 public:
  Module() = default;
  Module(const Module& other);      // copies parameters, buffers and children
  Module(Module&& other) noexcept;  // `other` can only be destroyed then
  Module& operator=(const Module&) = delete;
  virtual ~Module() = default;

  // forward(x) inside this module's scope, seen by the observers. What it throws starts with the place in the config of the
  // module, or of what it is part of, if any, and the module's path.
  // Throws where another module's forward runs a module that was not registered with it, unless that changes nothing in it: it
  // is frozen, or run under a NoGrad of that forward's, and its buffers, if any, are in evaluation. One that has neither
  // parameters nor buffers takes the mode of who runs it. The first forward for a gradient that gets to its end also throws
  // where an op took a tensor that needs one and is no parameter.
  Tensor operator()(const Tensor& x);
  // Calls f, in which this network, or the gradient of what it gave, runs: what is thrown says where likewise.
  template <class F> decltype(auto) located(F&& f) const {
    try {
      return f();
    } catch (...) {
      rethrow_located();
    }
  }
  // Stands in for a call where the pass of the module before has done this one's work already. Gives its result.
  Tensor applied(const Pass& before);
  // An independent copy: same values, mode and frozen parameters; no gradients. Throws where the class keeps a tensor of its
  // own parameters or buffers in a member, which the copy would share.
  virtual ModulePtr clone() const = 0;

  // All parameters of the tree, parents before children, by their path from here ("layer1.0.conv1.weight").
  std::vector<Parameter> parameters() const;
  // State that is not trained ("bn1.running_mean"), in the same order.
  std::vector<std::pair<std::string, Tensor>> buffers() const;
  // This module and all below it, parents first, children in the order of registration.
  std::vector<Module*> modules();
  std::vector<const Module*> modules() const;
  // The module at a path below this one ("layer1.0"); throws where there is none.
  Module& module(const std::string& path);
  int64_t parameter_count() const;

  // Training or evaluation; touches the mode of the tree and nothing else.
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }

  // Converts parameters and floating buffers. Optimizers made before keep the old ones.
  void to(DType type);
  // Freezes the parameters whose path matches ("layer1.*", with * and ?): no gradient, no update. Throws when none does.
  void freeze(const std::string& pattern);

  // Parameters and buffers by path: the tensors themselves, not copies.
  std::map<std::string, Tensor> state() const;
  struct LoadOptions {
    bool strict = true;  // otherwise missing and unexpected names are left alone
  };
  // Copies values in. Throws, changing nothing, with a list of the missing, unexpected and misshapen names. Names that end in
  // num_batches_tracked, which PyTorch writes, are passed over.
  void load_state(const std::map<std::string, Tensor>& state, LoadOptions options = {true});
  // These keep the state in a safetensors file. load() throws DataError, naming the file.
  void save(const std::string& file) const;
  void load(const std::string& file, LoadOptions options = {true});

  // Path from the root of the tree ("layer1.0.conv1"); "" for the root.
  const std::string& path() const { return path_; }
  // One line on the module itself: "Conv2d(3 -> 16, kernel 3)". The class's name unless overridden.
  virtual std::string describe() const;
  // Multiplications (with their additions) of this module alone, children left out.
  virtual int64_t multiply_adds(const Shape& /*input*/, const Shape& /*output*/) const { return 0; }
  // The tree, a line a module.
  std::string str() const;

 protected:
  virtual Tensor forward(const Tensor& x) = 0;

  // Registration, in constructors: not in forward, nor once it ran for a gradient, as optimizers would not know what is new.
  // Names are unique and not empty, without dots and slashes; order is the order of parameters(). An undefined tensor stands
  // for a parameter that was switched off (bias: false). The tensor is taken by parameter(name) and buffer(name) from then on.
  void add_parameter(const std::string& name, const Tensor& value, ParameterKind kind = ParameterKind::weight);
  // A buffer is what forward keeps from one call to the next and changes in place: in a plain member, a Tensor or not, it would
  // be in no checkpoint, and copies might share it (nn/hidden_state.h finds that).
  void add_buffer(const std::string& name, const Tensor& value);
  // Keep what it gives as a member: Child<Linear> fc_ = add_child("fc", Linear(3, {.out_features = 2}));
  template <std::derived_from<Module> M> Child<M> add_child(const std::string& name, M child) {
    return add_child(name, std::make_unique<M>(std::move(child)));
  }
  template <std::derived_from<Module> M> Child<M> add_child(const std::string& name, std::unique_ptr<M> child) {
    return {register_child(name, std::move(child)), children_.size() - 1};
  }

  // What was registered, by name; throws where there is none.
  const Tensor& parameter(const std::string& name) const;
  const Tensor& buffer(const std::string& name) const;
  Module& child(const std::string& name);
  // Children can be had by index, too, in the order of registration.
  size_t child_count() const { return children_.size(); }
  Module& child(size_t index);
  // They can be had by what add_child() gave. Throws for what another module's gave, and for an empty one.
  template <class M> M& child(const Child<M>& of) { return static_cast<M&>(registered(of.id_, of.index_)); }
  template <class M> const M& child(const Child<M>& of) const { return static_cast<M&>(registered(of.id_, of.index_)); }

  // operator() with another function than forward(x): for fused forms of a layer. Where somebody watches, and what the layer
  // gives by itself is not the result, the function says what it is.
  Pass enter(const Tensor& x, const std::function<Pass()>& function);
  // Whether an observer on this thread watches one of these; null stands for no module.
  static bool is_watched(std::initializer_list<const Module*> modules);

  // For Layer: what `copy` makes of this module, which is of class `self` unless a class derived from it forgot a clone() of
  // its own.
  ModulePtr checked_copy(const std::type_info& self, const std::function<ModulePtr()>& copy) const;

 private:
  friend class LentParameter;
  struct Run;
  struct Turn;
  [[noreturn]] void rethrow_located() const;
  Pass run(const Tensor& x, const std::function<Pass()>& function);
  void show_gradient(const Observe& to, const Pass& pass) const;
  struct ChildEntry {
    std::string name;
    uint64_t id;
    ModulePtr module;
  };

  void check_new(const std::string& name) const;
  uint64_t register_child(const std::string& name, ModulePtr child);
  bool has_child(const std::string& name) const;
  Module& registered(uint64_t id, size_t index) const;
  bool contains(const Module& module) const;
  // runs_now() says whether its forward is under way; the checks throw where a forward uses it as it must not (running.cpp).
  bool runs_now() const;
  void check_belongs(bool runs) const;
  void check_may_be_used() const;
  void check_leaves(const Tensor& x, const Tensor& y, uint64_t mark) const;
  void set_path(const std::string& path);
  std::string below(const Module& module) const;  // its path from here

  std::vector<Parameter> parameters_;
  std::map<std::string, Tensor> taken_;  // by LentParameter, as they were: describe() may ask for their shape
  std::vector<std::pair<std::string, Tensor>> buffers_;
  std::vector<ChildEntry> children_;
  std::string path_;
  bool training_ = true;
  bool moved_ = false;  // to another module
  // Several threads may evaluate a network at once.
  std::atomic<bool> ran_ = false;      // ever
  std::atomic<bool> trained_ = false;  // ran for a gradient, to the end
};

// Has a tree in evaluation mode for as long as it lives; then each module's own mode is back.
class Evaluating {
 public:
  explicit Evaluating(Module& root);
  ~Evaluating();
  Evaluating(const Evaluating&) = delete;

 private:
  std::vector<std::pair<Module*, bool>> before_;
};

// Base of a concrete module: class Scale : public Layer<Scale> { ... }; of one derived from another: Layer<Scaled, Conv2d>.
// Gives it clone(), by its copy constructor.
template <class Self, class Base = Module> class Layer : public Base {
 public:
  using Base::Base;
  ModulePtr clone() const override {
    return this->checked_copy(typeid(Self), [this] { return std::make_unique<Self>(static_cast<const Self&>(*this)); });
  }
};

}  // namespace az::nn
