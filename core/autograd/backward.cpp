#include <algorithm>
#include <optional>
#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "core/autograd/autograd.h"
#include "core/autograd/node.h"
#include "core/autograd/sums.h"
#include "core/base/profile.h"

// The pass from an output back to the leaves.
namespace az {
namespace {

thread_local int passes_running = 0;

[[noreturn]] void fail_at(const Node& node, const std::string& what) {
  const Scope scope(node.scope, node.name);
  throw_error(what);
}

// The gradients that have arrived so far, of ops' results and of leaves.
class Arrived {
 public:
  explicit Arrived(bool create_graph) : create_graph_(create_graph) {}

  // One gradient, or two that are still to be summed.
  struct Parts {
    Tensor first, second;
  };

  // Sums what arrives, but keeps two apart when `in_parts`.
  void add(const void* key, Tensor gradient, bool in_parts = false) {
    auto [at, is_new] = gradients_.try_emplace(key);
    Parts& parts = at->second;
    if (is_new)
      parts.first = std::move(gradient);
    else if (in_parts && !parts.second.defined())
      parts.second = std::move(gradient);
    else
      parts.first = total(std::move(parts.first), std::move(gradient));
  }

  Parts take(const void* key) { return std::move(gradients_.extract(key).mapped()); }

  Tensor take_total(const void* key) {
    Parts parts = take(key);
    return parts.second.defined() ? total(std::move(parts.first), std::move(parts.second)) : parts.first;
  }

  // Their sum; they stay as they are.
  Tensor total_of(const Parts& parts) const { return parts.second.defined() ? total(parts.first, parts.second) : parts.first; }

 private:
  Tensor total(Tensor have, Tensor more) const {
    if (create_graph_ || !have.is_unshared())
      have = az::add(have, more);
    else
      have.add_(more);
    Profile::ended(Phase::backward, "accumulate");
    return have;
  }

  bool create_graph_;
  std::unordered_map<const void*, Parts> gradients_;
};

struct Older {
  bool operator()(const std::shared_ptr<Node>& a, const std::shared_ptr<Node>& b) const { return a->sequence < b->sequence; }
};

Tensor restored(const Node& node, const Node::SavedTensor& saved) {
  if (saved.tensor.defined() && saved.tensor.storage()->version() != saved.version) {
    fail_at(node, fmt::format("a tensor saved for the gradient ({}) was changed in place after the op ran; clone() it first",
                              describe(saved.tensor)));
  }
  return saved.tensor;
}

Back inputs_of_gradient(Node& node, Arrived::Parts g, std::vector<bool> needed) {
  std::vector<Tensor> kept;
  kept.reserve(node.saved.size());
  for (const auto& saved : node.saved) kept.push_back(restored(node, saved));
  Tensor result;
  if (node.result) {
    const auto& r = *node.result;
    if (r.storage->version() != r.version) fail_at(node, "the op's result was changed in place; clone() it first");
    auto impl = std::make_shared<TensorImpl>();
    impl->shape = r.shape;
    impl->dtype = r.dtype;
    impl->layout = r.layout;
    impl->storage = r.storage;
    if (GradMode::enabled()) impl->node = node.shared_from_this();
    result = Tensor(std::move(impl));
  }
  return {std::move(g.first), std::move(g.second), std::move(kept), std::move(result), std::move(needed)};
}

// Grows whenever one of the tensors that others use, too, is changed in place.
uint64_t versions(const Back& back, bool with_g) {
  uint64_t total = with_g ? back.g.storage()->version() : 0;
  const auto add = [&](const Tensor& t) { total += t.defined() ? t.storage()->version() : 0; };
  for (const Tensor& tensor : back.saved) add(tensor);
  add(back.result);
  return total;
}

// Lists what the gradient's function got undefined; it may have used one of these.
std::string undefined_in(const Back& back) {
  std::string list;
  const auto add = [&](const Tensor& t, const std::string& what) {
    if (!t.defined()) list += (list.empty() ? "" : ", ") + what;
  };
  for (size_t i = 0; i < back.saved.size(); ++i) add(back.saved[i], fmt::format("saved[{}]", i));
  add(back.result, "result, which saved(...).and_result() keeps");
  if (list.empty()) add(back.g_more, "g_more, without which the gradient is g alone");
  return list.empty() ? "" : "; undefined in this gradient: " + list;
}

Grads call_gradient(const Node& node, const Back& back) {
  const Scope scope(node.scope, node.name);
  const bool shared_g = !back.g.is_unshared();
  const uint64_t before = versions(back, shared_g);
  Grads gradients = placed(Scope::place, [&] {
    try {
      return node.gradient.function(back);
    } catch (UndefinedTensor& error) {
      error.add(undefined_in(back));
      throw;
    }
  });
  if (versions(back, shared_g) != before)
    fail("the gradient changed in place what it was given (g, saved or result), which others use too; clone() it first");
  if (gradients.size() != node.inputs.size())
    fail("the gradient returned {} tensors for {} inputs", gradients.size(), node.inputs.size());
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (back.needs(i) && !gradients[i].defined())
      fail("gradient {} is undefined, and that input needs one; return zeros where it is zero", i);
  }
  return gradients;
}

// Whether broadcasting `from` can give `to`.
bool widens(const Shape& from, const Shape& to) {
  const int added = to.rank() - from.rank();
  if (added < 0) return false;
  for (int axis = 0; axis < from.rank(); ++axis) {
    if (from[axis] != to[axis + added] && from[axis] != 1) return false;
  }
  return true;
}

// What an op returned for one input, checked and summed over broadcast axes.
Tensor checked(const Node& node, size_t i, Tensor gradient) {
  const auto& input = node.inputs[i];
  if (gradient.dtype() != input.dtype || !widens(input.shape, gradient.shape())) {
    fail_at(node, fmt::format("gradient {} is {}, the input was {} {}", i, describe(gradient), name_of(input.dtype),
                              input.shape.str()));
  }
  return gradient.shape() == input.shape ? gradient : sum_to(gradient, input.shape);
}

// A leaf's gradient is changed in place later, so it shares its elements with nothing.
Tensor owned(Tensor gradient) { return gradient.is_unshared() ? gradient : gradient.clone(); }

struct PassRunning {
  PassRunning() { ++passes_running; }
  ~PassRunning() { --passes_running; }
};

struct Pass {
  bool retain_graph = false, create_graph = false;
  // grad() only: the tensors asked for, by node or leaf, and the ops that lead to one of them.
  const std::unordered_map<const void*, Tensor*>* wanted = nullptr;
  std::unordered_map<const Node*, bool> relevant = {};

  // Where the gradient of a node's result is to be put; nullptr when nobody asked for it.
  Tensor* asked_for(const void* node) const {
    if (!wanted) return nullptr;
    auto at = wanted->find(node);
    return at == wanted->end() ? nullptr : at->second;
  }
};

bool leads_to_wanted(const Pass& pass, const Node::Edge& edge) {
  if (!edge.needs()) return false;
  if (!pass.wanted) return true;
  if (edge.leaf) return pass.wanted->contains(edge.leaf.get());
  return pass.wanted->contains(edge.node.get()) || pass.relevant.at(edge.node.get());
}

void find_relevant(Pass& pass, const std::shared_ptr<Node>& root) {
  auto nodes = reachable(root);
  std::sort(nodes.begin(), nodes.end(), [](const auto& a, const auto& b) { return a->sequence < b->sequence; });
  for (const auto& node : nodes) {
    pass.relevant[node.get()] =
        std::any_of(node->inputs.begin(), node->inputs.end(), [&](const auto& edge) { return leads_to_wanted(pass, edge); });
  }
}

// What hooks put in a gradient's place; undefined where they leave it. What they get, and what comes of them, is row-major.
Tensor replaced_by(const std::vector<Tensor::Hook>& hooks, Tensor gradient, const char* op) {
  const auto place = [&] {
    return fmt::format("{}{}hook on the gradient of {}", Scope::path(), Scope::path().empty() ? "" : ": ",
                       op ? op : "a leaf " + describe(gradient));
  };
  Tensor result;
  for (const auto& hook : hooks) {
    const uint64_t version = gradient.storage()->version();
    const Tensor changed = placed(place, [&] {
      Tensor given = hook(gradient);
      if (gradient.storage()->version() != version)
        fail("it wrote to the gradient, which others may use as well; return a tensor of its own in its place");
      return given;
    });
    if (!changed.defined()) continue;
    if (changed.shape() != gradient.shape() || changed.dtype() != gradient.dtype())
      fail("hook: returned {} for a gradient of {}", describe(changed), describe(gradient));
    result = gradient = changed.plain();
  }
  return result;
}

void check_usable(const Node& node, bool create_graph) {
  if (node.freed) {
    fail_at(
        node,
        "its saved tensors were freed by an earlier backward(); pass {.retain_graph = true} to that one to go through twice");
  }
  if (create_graph && !node.gradient.by_ops) {
    fail_at(node, fmt::format("the gradient of {} cannot be differentiated again (create_graph)", node.name));
  }
}

// One way from an output to the leaves.
class Run {
 public:
  explicit Run(const Pass& pass) : pass_(pass), arrived_(pass.create_graph) {}

  // Newest op first: whatever uses an op's result is newer than it, so its gradient is complete when its turn comes.
  void from(const Tensor& output, const Tensor& gradient) {
    GradMode mode(pass_.create_graph);
    PassRunning running;
    const auto& node = output.impl()->node;
    send(node, node ? nullptr : output.impl(), gradient);
    while (!queue_.empty()) {
      const std::shared_ptr<Node> next = queue_.top();
      queue_.pop();
      pass_op(*next);
    }
    for (const auto& leaf : leaves_) store(*leaf);
    Profile::ended(Phase::backward, "store_gradients");
  }

 private:
  void send(const std::shared_ptr<Node>& node, const std::shared_ptr<TensorImpl>& leaf, Tensor g) {
    if (node) {
      arrived_.add(node.get(), std::move(g), node->gradient.in_parts);
      if (queued_.insert(node.get()).second) queue_.push(node);
    } else {
      if (queued_.insert(leaf.get()).second) leaves_.push_back(leaf);
      arrived_.add(leaf.get(), std::move(g));
    }
  }

  // What arrived for an op's result. Who wants to see it sees it whole and row-major; it goes on as it came, so that looking
  // changes no bit, unless a hook puts another in its place.
  Arrived::Parts arrived_at(Node& node) {
    Tensor* asked_for = pass_.asked_for(&node);
    Arrived::Parts parts = arrived_.take(&node);
    if (node.hooks.empty() && !asked_for) return parts;
    const Tensor whole = arrived_.total_of(parts).plain(), replaced = replaced_by(node.hooks, whole, node.name);
    if (asked_for) *asked_for = replaced.defined() ? replaced : whole;
    return replaced.defined() ? Arrived::Parts{replaced, {}} : parts;
  }

  // Makes the gradients of an op's inputs from the gradient of its result.
  void pass_op(Node& node) {
    const Scope scope(node.scope);
    Arrived::Parts g = arrived_at(node);
    if (pass_.wanted && !pass_.relevant.at(&node)) return;
    check_usable(node, pass_.create_graph);
    std::vector<bool> needed;
    for (const auto& edge : node.inputs) needed.push_back(leads_to_wanted(pass_, edge));
    std::optional<Back> back(inputs_of_gradient(node, std::move(g), needed));
    if (!pass_.retain_graph && !pass_.create_graph) {
      node.freed = true;
      node.saved.clear();
      node.result.reset();
    }
    Grads gradients = call_gradient(node, *back);
    back.reset();  // what only it held may serve the sums below
    for (size_t i = 0; i < gradients.size(); ++i)
      gradients[i] = needed[i] ? checked(node, i, std::move(gradients[i])) : Tensor();
    Profile::ended(Phase::backward, node.name);
    for (size_t i = 0; i < gradients.size(); ++i) {
      if (gradients[i].defined()) send(node.inputs[i].node, node.inputs[i].leaf, std::move(gradients[i]));
    }
  }

  void store(TensorImpl& leaf) {
    Tensor g = arrived_.take_total(&leaf).plain();
    if (const Tensor replaced = replaced_by(leaf.hooks, g, nullptr); replaced.defined()) g = replaced;
    if (pass_.wanted) {
      if (Tensor* asked_for = pass_.asked_for(&leaf)) *asked_for = g;
    } else if (!leaf.grad.defined()) {
      leaf.grad = pass_.create_graph ? g : owned(std::move(g));
    } else if (pass_.create_graph) {
      leaf.grad = add(leaf.grad, g);
    } else {
      leaf.grad.add_(g);
    }
  }

  const Pass& pass_;
  Arrived arrived_;
  std::priority_queue<std::shared_ptr<Node>, std::vector<std::shared_ptr<Node>>, Older> queue_;
  std::unordered_set<const void*> queued_;
  std::vector<std::shared_ptr<TensorImpl>> leaves_;
};

Tensor first_gradient(const Tensor& output, const Tensor& given) {
  if (!output.requires_grad())
    fail("backward: this tensor ({}) does not depend on anything that requires a gradient", describe(output));
  if (!given.defined()) {
    if (output.numel() != 1) {
      fail("backward: the output has {} elements ({}); pass a gradient of its shape", output.numel(), describe(output));
    }
    Tensor one = Tensor::empty(output.shape(), output.dtype());
    one.fill_(1);
    return one;
  }
  if (given.shape() != output.shape() || given.dtype() != output.dtype()) {
    fail("backward: gradient {} does not match the output {}", describe(given), describe(output));
  }
  return given;
}

}  // namespace

std::vector<std::shared_ptr<Node>> reachable(const std::shared_ptr<Node>& root) {
  std::unordered_set<const Node*> seen{root.get()};
  std::vector<std::shared_ptr<Node>> nodes{root};
  for (size_t i = 0; i < nodes.size(); ++i) {
    for (size_t k = 0; k < nodes[i]->inputs.size(); ++k) {
      const auto& next = nodes[i]->inputs[k].node;
      if (next && seen.insert(next.get()).second) nodes.push_back(next);
    }
  }
  return nodes;
}

bool backward_is_running() { return passes_running > 0; }

std::vector<Tensor> grad(const Tensor& output, const std::vector<Tensor>& inputs, const GradOptions& options) {
  std::vector<Tensor> gradients(inputs.size());
  std::unordered_map<const void*, Tensor> found;
  std::unordered_map<const void*, Tensor*> wanted;
  auto key = [](const Tensor& t) { return t.impl()->node ? static_cast<const void*>(t.impl()->node.get()) : t.impl().get(); };
  for (const auto& input : inputs) {
    if (!input.requires_grad()) fail("grad: input {} does not require a gradient", describe(input));
    wanted[key(input)] = &found[key(input)];
  }
  Tensor first = first_gradient(output, options.gradient);
  Pass pass{options.retain_graph, options.create_graph, &wanted};
  if (output.impl()->node) find_relevant(pass, output.impl()->node);
  Run(pass).from(output, first);
  for (size_t i = 0; i < inputs.size(); ++i) gradients[i] = found[key(inputs[i])];
  return gradients;
}

void Tensor::backward(BackwardOptions options) const { backward({}, options); }

void Tensor::backward(const Tensor& gradient, BackwardOptions options) const {
  const Pass pass{options.retain_graph, options.create_graph};
  Run(pass).from(*this, first_gradient(*this, gradient));
}

}  // namespace az
