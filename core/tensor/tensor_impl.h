#pragma once

// What a Tensor points at. For core's own .cpp files.
#include <memory>
#include <vector>

#include "core/tensor/tensor.h"

namespace az {

// Thrown where a tensor that has no elements is used as if it had.
struct UndefinedTensor : Error {
  using Error::Error;
};

struct TensorImpl {
  Shape shape;
  DType dtype = DType::f32;
  const Layout* layout = nullptr;
  std::shared_ptr<Storage> storage;
  bool requires_grad = false;       // of a leaf; results of recorded ops have a node instead
  std::shared_ptr<Node> node;       // the op that made this tensor
  Tensor grad;                      // of a leaf
  std::vector<Tensor::Hook> hooks;  // of a leaf
};

// A handle on a storage, without history.
Tensor on_storage(const Shape& shape, DType type, const Layout* layout, std::shared_ptr<Storage> storage);

}  // namespace az
