#include "core/tensor/layout.h"

#include <cstdint>

#include "core/base/error.h"

namespace az {

const Layout* blocked_layout(int64_t width) {
  static constexpr Layout layouts[] = {{16}, {8}, {4}, {0}};
  if (width == 1) return nullptr;
  for (const Layout& layout : layouts) {
    if (layout.width == width) return &layout;
  }
  fail("layout: there is none in blocks of {} channels", width);
}

size_t layout_bytes(const Shape& shape, DType type, const Layout* layout) {
  size_t elements = size_t(shape.numel()), bytes = 0;
  bool is_too_much = false;
  if (layout && layout->width && elements > 0) {
    const size_t width = size_t(layout->width), blocks = (size_t(shape[1]) + width - 1) / width;
    is_too_much = __builtin_mul_overflow(elements / size_t(shape[1]), blocks * width, &elements);
  }
  return is_too_much || __builtin_mul_overflow(elements, size_of(type), &bytes) ? SIZE_MAX : bytes;
}

std::string name_of(const Layout* layout) {
  return !layout ? "abcd" : layout->width == 0 ? "acdb" : fmt::format("aBcd{}b", layout->width);
}

}  // namespace az
