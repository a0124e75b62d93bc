#include "core/autograd/sums.h"

#include "core/autograd/autograd.h"
#include "core/backend/copy.h"
#include "core/backend/pointwise.h"
#include "core/backend/reduction.h"

namespace az {
namespace {

std::vector<int64_t> sizes(const Shape& shape) { return {shape.begin(), shape.end()}; }

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  const bool are_lanes = in_lanes(a.dtype()) && b.dtype() == a.dtype() && alike(a, b);
  const Tensor value = are_lanes ? over_lanes([](auto... all) { add(all...); }, a, b)
                                 : arithmetic("add", a, b, [](auto x, auto y) { return x + y; });
  return record("add", value, {a, b}, saved(), ByOps{[](const Back& k) { return Grads{k.g, k.g}; }}, Homogeneity::sum());
}

Tensor sum(const Tensor& x, const ReduceOptions& options) {
  Reduced r("sum", x.shape(), options.axes, options.keep_axes);
  return record("sum", sum_of(x, r), {x}, saved(), ByOps{[kept = r.kept, shape = x.shape()](const Back& k) {
                  return Grads{broadcast_to(k.g.reshape(sizes(kept)), shape)};
                }},
                Homogeneity::along(r.place, true));
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  std::vector<int64_t> axes;
  int added = x.rank() - shape.rank();
  bool fits = added >= 0;
  for (int axis = 0; fits && axis < x.rank(); ++axis) {
    if (axis < added || shape[axis - added] != x.shape()[axis]) axes.push_back(axis);
    fits = axis < added || shape[axis - added] == 1 || shape[axis - added] == x.shape()[axis];
  }
  if (!fits) fail("sum_to: {} does not come from broadcasting {}", describe(x), shape.str());
  return sum(x, {axes, true}).reshape(sizes(shape));
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (x.rank() > shape.rank() || !(broadcast(x.shape(), shape, "broadcast_to") == shape)) {
    fail("broadcast_to: {} does not broadcast to {}", describe(x), shape.str());
  }
  Tensor source = x.plain(), value = Tensor::empty(shape, x.dtype());
  copy_elements(shape, {source, broadcast_strides(x.shape(), shape)}, {value, shape.strides()});
  return record("broadcast_to", value, {source}, saved(), ByOps{[](const Back& k) { return Grads{k.g}; }},
                Homogeneity::along({}, true));
}

}  // namespace az
