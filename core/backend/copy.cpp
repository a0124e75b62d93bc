#include "core/backend/copy.h"

namespace az {

void copy_elements(const Shape& shape, const Strided& from, const Strided& into) {
  if (from.tensor.layout() || into.tensor.layout())
    fail("copy: {} and {} must both be row-major", describe(from.tensor), describe(into.tensor));
  const size_t bytes = size_of(from.tensor.dtype());
  const auto first = [bytes](const Strided& s) { return static_cast<char*>(s.tensor.raw()) + s.offset * int64_t(bytes); };
  copy_strided(shape, bytes, first(from), from.strides, first(into), into.strides);
}

}  // namespace az
