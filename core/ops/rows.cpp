#include "core/ops/rows.h"

#include "core/ops/shape.h"

namespace az {
namespace {

std::vector<int64_t> sizes(const Shape& shape) { return {shape.begin(), shape.end()}; }

}  // namespace

RowOrder::RowOrder(const Shape& shape, const Reduced& r) : shape_(shape), matrix_{r.kept.numel(), r.count} {
  for (bool reduced : {false, true}) {
    for (int axis = 0; axis < shape.rank(); ++axis) {
      if (r.is_reduced[size_t(axis)] == reduced) axes_.push_back(axis);
    }
  }
  in_order_ = std::is_sorted(axes_.begin(), axes_.end());
}

Tensor RowOrder::rows(const Tensor& x) const {
  return shape_ == matrix_ && in_order_ ? x : (in_order_ ? x : permute(x, axes_)).reshape(sizes(matrix_));
}

Tensor RowOrder::restored(const Tensor& rows) const {
  if (in_order_) return shape_ == matrix_ ? rows : rows.reshape(sizes(shape_));
  std::vector<int64_t> turned, back(axes_.size());
  for (size_t i = 0; i < axes_.size(); ++i) {
    turned.push_back(shape_[int(axes_[i])]);
    back[size_t(axes_[i])] = int64_t(i);
  }
  return permute(rows.reshape(turned), back);
}

}  // namespace az
