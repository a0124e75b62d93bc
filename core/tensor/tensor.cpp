#include "core/tensor/tensor.h"

#include <new>

#include "core/base/memory.h"
#include "core/base/scope.h"
#include "core/tensor/layout.h"
#include "core/tensor/tensor_impl.h"

namespace az {
namespace {

[[noreturn]] void fail_undefined() {
  UndefinedTensor error("tensor: an undefined tensor was used; give it a value first");
  error.place(Scope::place());
  throw error;
}

const TensorImpl& get(const std::shared_ptr<TensorImpl>& impl) {
  if (!impl) fail_undefined();
  return *impl;
}

}  // namespace

Tensor on_storage(const Shape& shape, DType type, const Layout* layout, std::shared_ptr<Storage> storage) {
  auto impl = std::make_shared<TensorImpl>();
  impl->shape = shape;
  impl->dtype = type;
  impl->layout = layout;
  impl->storage = std::move(storage);
  return Tensor(std::move(impl));
}

Tensor Tensor::empty(const Shape& shape, DType type, const Layout* layout) {
  const int64_t count = shape.numel();
  try {
    return on_storage(shape, type, layout, std::make_shared<Storage>(layout_bytes(shape, type, layout)));
  } catch (const std::bad_alloc&) {
    fail_memory("out of memory: {} {} takes {:.3g} bytes, and this process may have {:.3g} in all; {}", name_of(type),
                shape.str(), double(count) * double(size_of(type)), double(memory_limit()),
                "a smaller batch or narrower layers take less");
  }
}

const Shape& Tensor::shape() const { return get(impl_).shape; }
int64_t Tensor::size(int64_t axis) const { return shape()[shape().axis(axis, "size")]; }
int64_t Tensor::numel() const { return shape().numel(); }
DType Tensor::dtype() const { return get(impl_).dtype; }
const Layout* Tensor::layout() const { return get(impl_).layout; }
void* Tensor::raw() const { return storage()->data(); }
const std::shared_ptr<Storage>& Tensor::storage() const { return get(impl_).storage; }

void* Tensor::checked(DType type) const {
  if (dtype() != type) fail("data: {} was asked for as {}", describe(*this), name_of(type));
  if (layout()) fail("data: {} lies in a blocked layout; call plain() first", describe(*this));
  return raw();
}

double Tensor::item() const {
  if (numel() != 1) fail("item: {} has {} elements, not one", describe(*this), numel());
  return to_vector<double>()[0];
}

Tensor Tensor::detach() const { return on_storage(shape(), dtype(), layout(), storage()); }

bool Tensor::requires_grad() const { return get(impl_).requires_grad || impl_->node; }
bool Tensor::is_unshared() const { return storage().use_count() == 1 && impl_.use_count() == 1; }
bool Tensor::is_leaf() const { return !get(impl_).node; }

Tensor Tensor::grad() const { return get(impl_).grad; }

void Tensor::set_grad(const Tensor& gradient) const {
  if (gradient.defined() && (gradient.shape() != shape() || gradient.dtype() != dtype())) {
    fail("set_grad: {} for a tensor of {}", describe(gradient), describe(*this));
  }
  get(impl_);
  impl_->grad = gradient;
}

std::string describe(const Tensor& tensor) {
  return tensor.defined() ? fmt::format("{} {}", name_of(tensor.dtype()), tensor.shape().str()) : "undefined";
}

}  // namespace az
