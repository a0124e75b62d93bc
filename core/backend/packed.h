#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "core/tensor/tensor.h"

namespace az {

// Writes a row-major weight as an implementation wants it.
using Pack = std::function<void(const Tensor& weight, void* into)>;

// One of the forms that implementations want a weight in.
struct PackedForm {
  int64_t id;  // tells the forms of one weight, and of what shares its elements in another shape, apart
  size_t bytes;
};

// A weight, its output channels multiplied by `scale` [o] where that is defined, in such a form: kept with its elements, and
// packed again, in place, when they or the scale have changed.
std::shared_ptr<Storage> packed_weight(const Tensor& weight, const Tensor& scale, const PackedForm& form, const Pack& pack);

// Memory to work in while an implementation runs, from the heap: what activations do not take just then. Where there is none,
// throws MemoryError that names the op.
std::unique_ptr<Storage> lent_memory(const char* op, size_t bytes);

}  // namespace az
