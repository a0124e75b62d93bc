#include "core/autograd.h"

#include <algorithm>
#include <atomic>

#include "core/profile.h"
#include "core/tensor_impl.h"

namespace az {
namespace {

thread_local bool recording = true;
std::atomic<uint64_t> next_sequence{1};

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
  return recording && std::any_of(inputs.begin(), inputs.end(), [](const Tensor& t) { return t.defined() && t.requires_grad(); });
}

Tensor record(const char* name, Tensor value, std::vector<Tensor> inputs, Saved saved, Gradient gradient,
              const Scaling& scaling) {
  if (!backward_is_running()) Profile::ended(Phase::forward, name);
  if (!needs_grad(inputs)) return value;
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
  node->scaling = scaling;
  // A view of an existing tensor, or the tensor itself, gets a handle of its own: only the result has this op as its maker.
  Tensor result = value.detach();
  result.impl()->node = std::move(node);
  return result;
}

void Tensor::register_hook(Hook hook) const {
  if (!requires_grad()) fail("register_hook: this tensor ({}) does not require a gradient", describe(*this));
  (impl_->node ? impl_->node->hooks : impl_->hooks).push_back(std::move(hook));
}

GradMode::GradMode(bool enabled) : before_(recording) { recording = enabled; }
GradMode::~GradMode() { recording = before_; }
bool GradMode::enabled() { return recording; }

namespace {
const std::string no_scope;
thread_local const std::string* current_scope = &no_scope;
}  // namespace

Scope::Scope(const std::string& path) : before_(current_scope) { current_scope = &path; }
Scope::~Scope() { current_scope = before_; }
const std::string& Scope::path() { return *current_scope; }

void throw_error(const std::string& message) {
  const std::string& path = Scope::path();
  throw Error(path.empty() ? message : path + ": " + message);
}

std::string op_name(const Tensor& tensor) { return tensor.impl()->node ? tensor.impl()->node->name : ""; }
std::string op_scope(const Tensor& tensor) { return tensor.impl()->node ? tensor.impl()->node->scope : ""; }

}  // namespace az
