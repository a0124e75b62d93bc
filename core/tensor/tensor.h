#pragma once

#include <algorithm>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "core/base/error.h"
#include "core/tensor/dtype.h"
#include "core/tensor/shape.h"
#include "core/tensor/storage.h"

namespace az {

struct Layout;  // how elements lie in memory; nullptr is plain row-major. See layout.h.
struct TensorImpl;
struct Node;

// A cheap handle on an array: shape, number type, layout, storage, and where it came from (for autograd).
// Copies share everything; clone() copies the elements. An undefined tensor (default-constructed) has no elements at all.
class Tensor {
 public:
  using Hook = std::function<Tensor(const Tensor&)>;

  Tensor() = default;
  explicit Tensor(std::shared_ptr<TensorImpl> impl) : impl_(std::move(impl)) {}
  // Uninitialised elements. A blocked layout's channel padding is zero-filled by whoever writes it. Throws, naming shape and
  // bytes, where there is not enough memory.
  static Tensor empty(const Shape& shape, DType type = DType::f32, const Layout* layout = nullptr);
  template <class T> static Tensor of(const Shape& shape, const std::vector<T>& values);

  bool defined() const { return impl_ != nullptr; }
  const Shape& shape() const;
  int rank() const { return shape().rank(); }
  // Size of one axis; negative axes count from the back.
  int64_t size(int64_t axis) const;
  int64_t numel() const;
  DType dtype() const;
  const Layout* layout() const;

  // Elements in row-major order; throws on a blocked layout (call plain() first) or another number type.
  template <class T> const T* data() const { return static_cast<const T*>(checked(dtype_of<T>)); }
  // Does the same for writing; counts as a change in place.
  template <class T> T* mutable_data() const {
    void* memory = checked(dtype_of<T>);
    storage()->bump_version();
    return static_cast<T*>(memory);
  }
  // The bytes as they lie, in any layout. For back ends.
  void* raw() const;
  const std::shared_ptr<Storage>& storage() const;
  // The value of a tensor of one element, converted to double.
  double item() const;
  // All elements in row-major order, converted.
  template <class T> std::vector<T> to_vector() const;

  // Shape [a,b,...] over the same elements (a view); one size may be -1. Differentiable.
  Tensor reshape(std::vector<int64_t> sizes) const;
  // Row-major layout: itself, or a reordered copy. Differentiable.
  Tensor plain() const;
  // Converted to another number type (itself when it already has it). Differentiable between floating types.
  Tensor to(DType type) const;
  Tensor clone() const;   // copies the elements, layout kept; differentiable
  Tensor detach() const;  // the same elements without history

  // In-place changes. They throw on tensors that take part in a recorded graph, and on sources that do, unless under NoGrad.
  const Tensor& fill_(double value) const;
  const Tensor& copy_(const Tensor& source) const;                  // same shape; converts number type and layout
  const Tensor& add_(const Tensor& other, double alpha = 1) const;  // this += alpha * other, same shape and floating type
  const Tensor& mul_(double factor) const;

  // Autograd.
  bool requires_grad() const;
  const Tensor& set_requires_grad(bool on = true) const;  // leaves of a floating type only
  bool is_leaf() const;
  Tensor grad() const;  // undefined until backward() has reached this leaf
  void set_grad(const Tensor& gradient) const;
  void zero_grad() const { set_grad({}); }
  // Adds d(this)/d(leaf) to the grad of every leaf that requires one. A tensor of several elements needs `gradient`, of its
  // shape. retain_graph keeps what was saved, for a second call; create_graph records the gradients too (and retains).
  struct BackwardOptions {
    bool retain_graph = false;
    bool create_graph = false;
  };
  void backward(BackwardOptions options = {false, false}) const;
  void backward(const Tensor& gradient, BackwardOptions options = {false, false}) const;
  // Called with the whole gradient of this tensor in each backward pass; what it returns, if defined, replaces the gradient.
  void register_hook(Hook hook) const;

  // Says whether no other tensor has these elements, nor another handle this tensor: nobody would notice a change of them.
  bool is_unshared() const;
  // Identity, not equality of elements.
  bool same(const Tensor& other) const { return impl_ == other.impl_; }
  const std::shared_ptr<TensorImpl>& impl() const { return impl_; }

 private:
  void* checked(DType type) const;

  std::shared_ptr<TensorImpl> impl_;
};

// Prints shape, number type and elements (the middle of long axes left out).
std::ostream& operator<<(std::ostream& out, const Tensor& tensor);
std::string str(const Tensor& tensor);
// "f32 [8,3,32,32]", for messages; "undefined" when there is none.
std::string describe(const Tensor& tensor);

template <class T> Tensor Tensor::of(const Shape& shape, const std::vector<T>& values) {
  if (int64_t(values.size()) != shape.numel()) {
    fail("Tensor::of: shape {} holds {} elements, got {}", shape.str(), shape.numel(), values.size());
  }
  Tensor result = empty(shape, dtype_of<T>);
  std::copy(values.begin(), values.end(), result.mutable_data<T>());
  return result;
}

template <class T> std::vector<T> Tensor::to_vector() const {
  Tensor source = detach().plain();
  std::vector<T> values;
  values.reserve(size_t(numel()));
  visit(dtype(), [&](auto zero) {
    using S = decltype(zero);
    for (const S *p = source.data<S>(), *end = p + numel(); p != end; ++p) {
      if constexpr (std::is_same_v<S, bf16>)
        values.push_back(T(float(*p)));
      else
        values.push_back(T(*p));
    }
  });
  return values;
}

}  // namespace az
