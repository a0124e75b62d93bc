#pragma once

// The recorded graph behind a Tensor. For core's own .cpp files.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/autograd/autograd.h"
#include "core/tensor/tensor_impl.h"

namespace az {

// One recorded op. It points at the ops that made its inputs, never at its result.
struct Node : std::enable_shared_from_this<Node> {
  struct Edge {
    std::shared_ptr<Node> node;        // the op that made this input, or
    std::shared_ptr<TensorImpl> leaf;  // the leaf that it is; neither when it needs no gradient
    bool defined = false;
    Shape shape;
    DType dtype = DType::f32;
    bool needs() const { return node || leaf; }
  };
  struct SavedTensor {
    Tensor tensor;
    uint64_t version = 0;
  };
  // The op's result without its history: kept only on request, and rebuilt with this node as its maker.
  struct Result {
    Shape shape;
    DType dtype = DType::f32;
    const Layout* layout = nullptr;
    std::shared_ptr<Storage> storage;
    uint64_t version = 0;
  };

  ~Node();

  const char* name = "";
  std::string scope;
  uint64_t sequence = 0;  // grows with time: an op's inputs were recorded before it
  Shape shape;            // of the result
  DType dtype = DType::f32;
  std::vector<Edge> inputs;
  std::vector<SavedTensor> saved;
  std::optional<Result> result;
  Gradient gradient;
  Homogeneity homogeneity;
  bool freed = false;
  std::vector<Tensor::Hook> hooks;
};

// The ops that led to `root`, itself first.
std::vector<std::shared_ptr<Node>> reachable(const std::shared_ptr<Node>& root);

// Says whether a backward pass runs on this thread. Time then belongs to the op whose gradient is being made, not to the ops
// that the gradient is made of.
bool backward_is_running();

}  // namespace az
