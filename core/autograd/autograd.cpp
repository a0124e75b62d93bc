#include "core/autograd/autograd.h"

#include <algorithm>
#include <atomic>
#include <unordered_set>

#include "core/autograd/node.h"
#include "core/base/profile.h"

namespace az {
namespace {

thread_local bool recording = true;
thread_local int grad_modes = 0;
std::atomic<uint64_t> next_sequence{1};

const TensorImpl& impl_of(const char* function, const Tensor& tensor) {
  if (!tensor.defined()) fail("{}: the tensor is undefined; give it a value first", function);
  return *tensor.impl();
}

// What a dying node pointed at, released one after another: a chain of any length is freed without recursion.
struct Remains {
  std::vector<Node::Edge> inputs;
  std::vector<Node::SavedTensor> saved;
  Gradient gradient;
  std::vector<Tensor::Hook> hooks;
};
thread_local std::vector<Remains>* releasing = nullptr;

}  // namespace

Node::~Node() {
  Remains remains{std::move(inputs), std::move(saved), std::move(gradient), std::move(hooks)};
  if (releasing) {
    releasing->push_back(std::move(remains));
    return;
  }
  std::vector<Remains> pending;
  releasing = &pending;
  pending.push_back(std::move(remains));
  while (!pending.empty()) {
    Remains next = std::move(pending.back());
    pending.pop_back();
  }
  releasing = nullptr;
}

bool needs_grad(const std::vector<Tensor>& inputs) {
  return recording &&
         std::any_of(inputs.begin(), inputs.end(), [](const Tensor& t) { return t.defined() && t.requires_grad(); });
}

Tensor record(const char* name, Tensor value, std::vector<Tensor> inputs, Saved saved, Gradient gradient,
              const Homogeneity& homogeneity) {
  if (!backward_is_running()) Profile::ended(Phase::forward, name);
  if (!needs_grad(inputs)) return value;
  if (!gradient.function) fail("{}: the op has no gradient; give record() a ByOps or a ByKernel", name);
  auto node = std::make_shared<Node>();
  node->name = name;
  node->scope = Scope::path();
  node->sequence = next_sequence++;
  node->shape = value.shape();
  node->dtype = value.dtype();
  for (const auto& input : inputs) {
    Node::Edge edge;
    if (input.defined()) {
      edge.defined = true;
      edge.shape = input.shape();
      edge.dtype = input.dtype();
      if (input.impl()->node)
        edge.node = input.impl()->node;
      else if (input.requires_grad())
        edge.leaf = input.impl();
    }
    node->inputs.push_back(std::move(edge));
  }
  for (auto& tensor : saved.tensors_) {
    uint64_t version = tensor.defined() ? tensor.storage()->version() : 0;
    node->saved.push_back({std::move(tensor), version});
  }
  if (saved.result_) {
    node->result = Node::Result{value.shape(), value.dtype(), value.layout(), value.storage(), value.storage()->version()};
  }
  node->gradient = std::move(gradient);
  node->homogeneity = homogeneity;
  // A view of an existing tensor, or the tensor itself, gets a handle of its own: only the result has this op as its maker.
  Tensor result = value.detach();
  result.impl()->node = std::move(node);
  return result;
}

void Tensor::register_hook(Hook hook) const {
  if (!requires_grad()) fail("register_hook: this tensor ({}) does not require a gradient", describe(*this));
  if (!hook) fail("register_hook: the hook for {} is empty", describe(*this));
  (impl_->node ? impl_->node->hooks : impl_->hooks).push_back(std::move(hook));
}

Back::Back(Tensor gradient, Tensor more, std::vector<Tensor> saved_tensors, Tensor own_result, std::vector<bool> needed)
    : g(std::move(gradient)), g_more(std::move(more)), result(std::move(own_result)), needed_(std::move(needed)) {
  saved.tensors_ = std::move(saved_tensors);
}

void SavedTensors::fail_beyond(size_t i) const {
  fail("the gradient asks for saved[{}], and the op kept {} with saved(...)", i,
       size() == 1 ? "1 tensor" : fmt::format("{} tensors", size()));
}

void Back::fail_beyond(size_t input) const {
  fail("the gradient asks for needs({}), and the op has {}", input,
       needed_.size() == 1 ? "1 input" : fmt::format("{} inputs", needed_.size()));
}

uint64_t ops_recorded() { return next_sequence; }

std::vector<LeafUse> leaf_uses(const Tensor& output, uint64_t mark) {
  std::vector<LeafUse> uses;
  std::unordered_set<const void*> seen;
  std::vector<const Node*> nodes;
  const auto visit = [&](const std::shared_ptr<Node>& node) {
    if (node && node->sequence >= mark && seen.insert(node.get()).second) nodes.push_back(node.get());
  };
  visit(impl_of("leaf_uses", output).node);
  for (size_t i = 0; i < nodes.size(); ++i) {
    for (const Node::Edge& edge : nodes[i]->inputs) {
      visit(edge.node);
      if (edge.leaf && seen.insert(edge.leaf.get()).second)
        uses.push_back({Tensor(edge.leaf), nodes[i]->name, nodes[i]->scope});
    }
  }
  return uses;
}

GradMode::GradMode(bool enabled) : before_(recording) {
  recording = enabled;
  ++grad_modes;
}
GradMode::~GradMode() {
  recording = before_;
  --grad_modes;
}
bool GradMode::enabled() { return recording; }
int GradMode::depth() { return grad_modes; }

bool has_hooks(const Tensor& tensor) {
  const TensorImpl& impl = impl_of("has_hooks", tensor);
  return !(impl.node ? impl.node->hooks : impl.hooks).empty();
}

std::string op_name(const Tensor& tensor) {
  const TensorImpl& impl = impl_of("op_name", tensor);
  return impl.node ? impl.node->name : "";
}
std::string op_scope(const Tensor& tensor) {
  const TensorImpl& impl = impl_of("op_scope", tensor);
  return impl.node ? impl.node->scope : "";
}

}  // namespace az
