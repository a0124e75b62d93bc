#pragma once

#include <concepts>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/parameter.h"
#include "core/tensor.h"

namespace az::nn {

class Module;
using ModulePtr = std::unique_ptr<Module>;

// Sees every module that runs on its thread, outermost first; attach one with Observe.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void before(const Module& /*module*/, const Tensor& /*input*/) {}
  virtual void after(const Module& /*module*/, const Tensor& /*input*/, const Tensor& /*output*/) {}
};

// Attaches an observer to this thread for as long as it lives.
class Observe {
 public:
  explicit Observe(Observer& observer);
  ~Observe();
  Observe(const Observe&) = delete;

 private:
  friend class Module;
  Observer& observer_;
  Observe* outer_;
};

// A piece of a network: named parameters, buffers and children, registered in the constructor and owned here, and a function of
// one tensor. Write one's own by deriving from Layer<Self> below; all else (modes, copies, files, counts, printing) is generic.
class Module {
 public:
  Module() = default;
  Module(const Module& other);  // copies parameters, buffers and children
  Module(Module&&) = default;
  Module& operator=(const Module&) = delete;
  virtual ~Module() = default;

  // forward(x) inside this module's scope, seen by the observers.
  Tensor operator()(const Tensor& x);
  // Stands in for a call where the module before has done this one's work already: observers see y.
  Tensor applied(const Tensor& y);
  // An independent copy: same values, mode and frozen parameters; no gradients.
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

  // For wrappers that make a weight of parameters of their own: the parameter of this module leaves parameters() and state(), and
  // its layer computes with what set_derived() gives. Gives its value so far; throws where there is none.
  Tensor derive_parameter(const std::string& name);
  void set_derived(const std::string& name, const Tensor& value);

  // Parameters and buffers by path: the tensors themselves, not copies.
  std::map<std::string, Tensor> state() const;
  struct LoadOptions {
    bool strict = true;  // otherwise missing and unexpected names are left alone
  };
  // Copies values in. Throws, changing nothing, with a list of the missing, unexpected and misshapen names. Names that end in
  // num_batches_tracked, which PyTorch writes, are passed over.
  void load_state(const std::map<std::string, Tensor>& state, LoadOptions options = {true});
  // As a safetensors file. load() throws DataError, naming the file.
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

  // Registration, in constructors. Names are unique, not empty, without dots; order is the order of parameters(). An undefined
  // tensor stands for a parameter that was switched off (bias: false).
  void add_parameter(const std::string& name, const Tensor& value, ParameterKind kind = ParameterKind::weight);
  void add_buffer(const std::string& name, const Tensor& value);
  template <std::derived_from<Module> M> M& add_child(const std::string& name, M child) {
    return static_cast<M&>(add_child(name, ModulePtr(std::make_unique<M>(std::move(child)))));
  }
  Module& add_child(const std::string& name, ModulePtr child);

  // What was registered, by name; throws where there is none.
  const Tensor& parameter(const std::string& name) const;
  const Tensor& buffer(const std::string& name) const;
  Module& child(const std::string& name);
  template <std::derived_from<Module> M> M& child(const std::string& name) { return dynamic_cast<M&>(child(name)); }
  Module& child(size_t index) { return *children_[index].second; }
  bool has_child(const std::string& name) const;
  size_t child_count() const { return children_.size(); }

  // operator() with another function than forward(x): for fused forms of a layer.
  Tensor enter(const Tensor& x, const std::function<Tensor()>& function);

 private:
  void check_new(const std::string& name) const;
  void set_path(const std::string& path);
  std::string below(const Module& module) const;  // its path from here

  std::vector<Parameter> parameters_;
  std::map<std::string, Tensor> derived_;
  std::vector<std::pair<std::string, Tensor>> buffers_;
  std::vector<std::pair<std::string, ModulePtr>> children_;
  std::string path_;
  bool training_ = true;
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

// Base of a concrete module: class Scale : public Layer<Scale> { ... }. Gives it clone(), by its copy constructor.
template <class Self, class Base = Module> class Layer : public Base {
 public:
  using Base::Base;
  ModulePtr clone() const override { return std::make_unique<Self>(static_cast<const Self&>(*this)); }
};

}  // namespace az::nn
