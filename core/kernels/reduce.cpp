#include "core/kernels/reduce.h"

#include <array>

namespace az {

Reduced::Reduced(const char* op, const Shape& shape, const std::vector<int64_t>& axes, bool keep) {
  std::array<bool, Shape::max_rank> chosen{};
  for (int64_t wanted : axes) {
    bool& is_chosen = chosen[size_t(shape.axis(wanted, op))];
    if (is_chosen) fail("{}: axis {} is named twice", op, wanted);
    is_chosen = true;
  }
  for (int axis = 0; axis < shape.rank(); ++axis) {
    bool reduce = axes.empty() || chosen[size_t(axis)];
    is_reduced.push_back(reduce);
    count *= reduce ? shape[axis] : 1;
    kept.push_back(reduce ? 1 : shape[axis]);
    place.push_back(reduce ? -1 : result.rank());
    if (!reduce || keep) result.push_back(kept[axis]);
  }
}

}  // namespace az
