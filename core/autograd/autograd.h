#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/autograd/homogeneity.h"
#include "core/base/scope.h"
#include "core/tensor/tensor.h"

// Reverse-mode automatic differentiation. An op computes its value, then records how gradients flow back:
//
//   Tensor mul(const Tensor& a, const Tensor& b) {
//     Tensor value = ...;
//     return record("mul", value, {a, b}, saved(a, b), ByOps{[](const Back& k) {
//                     return Grads{k.g * k.saved[1], k.g * k.saved[0]};
//                   }});
//   }
//
// The engine sums gradients over broadcast axes, accumulates them, and checks their count, shape and number type.
namespace az {

using Grads = std::vector<Tensor>;  // one per input, undefined only where none is needed

// The tensors given to saved(), in that order. To ask for one more than there are is an error that names the op.
class SavedTensors {
 public:
  const Tensor& operator[](size_t i) const {
    if (i >= tensors_.size()) fail_beyond(i);
    return tensors_[i];
  }
  size_t size() const { return tensors_.size(); }
  auto begin() const { return tensors_.begin(); }
  auto end() const { return tensors_.end(); }

 private:
  friend struct Back;
  [[noreturn]] void fail_beyond(size_t i) const;
  std::vector<Tensor> tensors_;
};

// What an op's gradient gets. None of these tensors may be changed in place.
struct Back {
  Back(Tensor gradient, Tensor more, std::vector<Tensor> saved_tensors, Tensor own_result, std::vector<bool> needed);

  Tensor g;            // gradient of the result, in whatever layout
  Tensor g_more;       // of an op that takes_parts(): the gradient is g + g_more where this is defined
  SavedTensors saved;  // in the order given to saved()
  Tensor result;       // the op's own result; defined only after saved(...).and_result()
  // Whether a gradient of that input is wanted.
  bool needs(size_t input) const {
    if (input >= needed_.size()) fail_beyond(input);
    return needed_[input];
  }

 private:
  [[noreturn]] void fail_beyond(size_t input) const;
  std::vector<bool> needed_;
};

// Tensors kept for the gradient: dropped at once when none is needed, checked against changes in place, freed as backward
// passes.
class Saved {
 public:
  explicit Saved(std::vector<Tensor> tensors) : tensors_(std::move(tensors)) {}
  Saved and_result() && {
    result_ = true;
    return std::move(*this);
  }

 private:
  friend Tensor record(const char*, Tensor, std::vector<Tensor>, Saved, struct Gradient, const Homogeneity&);
  std::vector<Tensor> tensors_;
  bool result_ = false;
};

template <class... Tensors> Saved saved(const Tensors&... tensors) { return Saved(std::vector<Tensor>{tensors...}); }

// How a gradient is made. ByOps: out of ops, so it can be differentiated again. ByKernel: directly; create_graph throws, naming
// the op. The function captures numbers and shapes by value; nothing by reference, which is gone by then, and tensors by
// saved().
struct Gradient {
  std::function<Grads(const Back&)> function;
  bool by_ops = false, in_parts = false;
};
struct ByOps : Gradient {
  explicit ByOps(std::function<Grads(const Back&)> f) : Gradient{std::move(f), true} {}
};
struct ByKernel : Gradient {
  explicit ByKernel(std::function<Grads(const Back&)> f) : Gradient{std::move(f), false} {}
  // The kernel adds two gradients on its way: a result that is used twice need not have them summed first.
  ByKernel takes_parts() && {
    in_parts = true;
    return std::move(*this);
  }
};

// Marks `value` as the result of op `name` (a string literal) on `inputs`. Returns value untouched when no input needs a
// gradient. `homogeneity`, if said, is how it scales with them (homogeneity.h): Homogeneity::each() for an op like relu.
Tensor record(const char* name, Tensor value, std::vector<Tensor> inputs, Saved saved, Gradient gradient,
              const Homogeneity& homogeneity = {});

// Whether an op on these inputs would be recorded now.
bool needs_grad(const std::vector<Tensor>& inputs);

struct GradOptions {
  Tensor gradient = {};  // of the output; may be left out when it has one element
  bool retain_graph = false;
  bool create_graph = false;
};
// d(output)/d(input) for each input (leaf or not), undefined where output does not depend on it. Leaves' grad() stay as they
// are.
std::vector<Tensor> grad(const Tensor& output, const std::vector<Tensor>& inputs, const GradOptions& options = {});

// A leaf that needs a gradient, and the op ("conv2d") and the module path that use it.
struct LeafUse {
  Tensor leaf;
  std::string op, scope;
};
// How many ops were recorded so far.
uint64_t ops_recorded();
// The leaves that ops recorded since then (`mark` is an earlier ops_recorded()) use on the way to `output`, each once.
std::vector<LeafUse> leaf_uses(const Tensor& output, uint64_t mark);

// While one lives, on its thread: nothing is recorded (NoGrad), or recording is as stated (GradMode).
class GradMode {
 public:
  explicit GradMode(bool enabled);
  ~GradMode();
  GradMode(const GradMode&) = delete;
  static bool enabled();
  static int depth();  // how many live

 private:
  bool before_;
};
struct NoGrad : GradMode {
  NoGrad() : GradMode(false) {}
};

// The recorded op that made this tensor ("conv2d"), and the module path it ran in; "" for leaves.
std::string op_name(const Tensor& tensor);
std::string op_scope(const Tensor& tensor);
// Says whether somebody gave the tensor a hook; no copy of it has that.
bool has_hooks(const Tensor& tensor);

}  // namespace az
