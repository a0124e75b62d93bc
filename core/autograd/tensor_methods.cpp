#include <cstring>

#include "core/autograd/autograd.h"
#include "core/backend/pointwise.h"
#include "core/backend/reorder.h"
#include "core/kernels/vector.h"
#include "core/tensor/tensor_impl.h"

// What a Tensor does that has a gradient, or would falsify one.
namespace az {
namespace {

template <class To, class From> void convert(int64_t count, const From* from, To* to) {
  constexpr bool both_in_lanes = in_lanes(dtype_of<From>) && in_lanes(dtype_of<To>);
  if constexpr (both_in_lanes && !std::is_same_v<From, To>) return convert_lanes(count, from, to);
  for (int64_t i = 0; i < count; ++i) {
    if constexpr (std::is_same_v<From, bf16>)
      to[i] = To(float(from[i]));
    else if constexpr (std::is_same_v<To, bf16>)
      to[i] = bf16(float(from[i]));
    else
      to[i] = To(from[i]);
  }
}

void convert_into(const Tensor& from, const Tensor& to) {
  visit(from.dtype(), [&](auto a) {
    visit(to.dtype(), [&](auto b) {
      using From = decltype(a);
      using To = decltype(b);
      convert(from.numel(), static_cast<const From*>(from.raw()), static_cast<To*>(to.raw()));
    });
  });
}

// Changes in place would falsify a recorded graph, and are not recorded themselves.
void check_in_place(const char* name, const Tensor& tensor, const Tensor& source = {}) {
  if (!GradMode::enabled()) return;
  if (tensor.requires_grad()) {
    fail("{}: {} {} cannot be changed in place; do it under NoGrad, or use the op that returns a new tensor", name,
         tensor.is_leaf() ? "a leaf that requires a gradient" : "the result of a recorded op", describe(tensor));
  }
  if (source.defined() && source.requires_grad()) {
    fail("{}: {} requires a gradient, which a change in place would lose; detach() it, or use the op that returns a new tensor",
         name, describe(source));
  }
}

}  // namespace

Tensor Tensor::reshape(std::vector<int64_t> sizes) const {
  int64_t known = 1, unknown = -1;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] != -1 && __builtin_mul_overflow(known, sizes[i], &known))
      fail("reshape: {} does not have as many elements as that", describe(*this));
    else if (sizes[i] != -1)
      continue;
    else if (unknown >= 0)
      fail("reshape: only one size may be -1");
    else
      unknown = int64_t(i);
  }
  if (unknown >= 0) {
    if (known == 0 || numel() % known) fail("reshape: {} does not divide into groups of {}", describe(*this), known);
    sizes[size_t(unknown)] = numel() / known;
  }
  Shape wanted(sizes);
  if (wanted.numel() != numel())
    fail("reshape: {} has {} elements, {} holds {}", describe(*this), numel(), wanted.str(), wanted.numel());
  Tensor source = plain();
  return record("reshape", on_storage(wanted, dtype(), nullptr, source.storage()), {source}, saved(),
                ByOps{[from = shape()](const Back& k) {
                  return Grads{k.g.reshape({from.begin(), from.end()})};
                }},
                Homogeneity::same());
}

Tensor Tensor::plain() const {
  if (!layout()) return *this;
  return record("plain", reorder(*this, nullptr), {*this}, saved(), ByOps{[](const Back& k) { return Grads{k.g}; }},
                Homogeneity::same());
}

Tensor Tensor::to(DType type) const {
  if (type == dtype()) return *this;
  Tensor source = plain();
  Tensor result = empty(shape(), type);
  convert_into(source, result);
  if (!is_float(type)) return result;
  return record("to", result, {source}, saved(), ByOps{[from = dtype()](const Back& k) { return Grads{k.g.to(from)}; }},
                Homogeneity::same());
}

Tensor Tensor::clone() const {
  Tensor result = empty(shape(), dtype(), layout());
  std::memcpy(result.raw(), raw(), storage()->bytes());
  return record("clone", result, {*this}, saved(), ByOps{[](const Back& k) { return Grads{k.g}; }}, Homogeneity::same());
}

const Tensor& Tensor::fill_(double value) const {
  check_in_place("fill_", *this);
  storage()->bump_version();
  if (layout()) {
    if (value != 0) fail("fill_: {} lies in a blocked layout, whose padding stays 0", describe(*this));
    std::memset(raw(), 0, storage()->bytes());
    return *this;
  }
  visit(dtype(), [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_same_v<T, bf16>)
      std::fill_n(static_cast<T*>(raw()), numel(), bf16(float(value)));
    else
      std::fill_n(static_cast<T*>(raw()), numel(), T(value));
  });
  return *this;
}

const Tensor& Tensor::copy_(const Tensor& source) const {
  check_in_place("copy_", *this, source);
  if (source.shape() != shape()) fail("copy_: {} into {}", describe(source), describe(*this));
  storage()->bump_version();
  NoGrad no_grad;
  if (source.dtype() == dtype())
    reorder_into(source, *this);
  else
    reorder_into(source.to(dtype()), *this);
  return *this;
}

const Tensor& Tensor::add_(const Tensor& other, double alpha) const {
  check_in_place("add_", *this, other);
  if (other.shape() != shape() || other.dtype() != dtype()) fail("add_: {} and {}", describe(*this), describe(other));
  if (!is_float(dtype())) fail("add_: needs a floating type, got {}", describe(*this));
  storage()->bump_version();
  Tensor addend = laid_out(other, layout());
  visit_float(dtype(), [&](auto zero) {
    using T = decltype(zero);
    axpy(elements_held(*this), alpha, static_cast<const T*>(addend.raw()), static_cast<T*>(raw()));
  });
  return *this;
}

const Tensor& Tensor::mul_(double factor) const {
  check_in_place("mul_", *this);
  if (!is_float(dtype())) fail("mul_: needs a floating type, got {}", describe(*this));
  storage()->bump_version();
  visit_float(dtype(), [&](auto zero) {
    using T = decltype(zero);
    scale(elements_held(*this), factor, static_cast<T*>(raw()));
  });
  return *this;
}

const Tensor& Tensor::set_requires_grad(bool on) const {
  if (!is_leaf())
    fail("set_requires_grad: {} is the result of {}, not a leaf; detach() it first", describe(*this), op_name(*this));
  if (on && !is_float(dtype())) fail("set_requires_grad: only floating tensors have gradients, not {}", describe(*this));
  impl_->requires_grad = on;
  return *this;
}

}  // namespace az
