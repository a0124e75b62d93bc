#include "core/ops/shape.h"

#include <algorithm>

#include "core/autograd/autograd.h"
#include "core/backend/copy.h"
#include "core/tensor/create.h"

namespace az {
namespace {

std::vector<int64_t> sizes(const Shape& shape) { return {shape.begin(), shape.end()}; }

// Elements begin, begin + step, ... along each axis of a larger array.
struct Region {
  std::vector<int64_t> begin, step;
};

// Where the region starts in an array of shape `whole`, and its strides there.
std::pair<int64_t, Strides> place(const Region& region, const Shape& whole) {
  Strides strides = whole.strides();
  int64_t offset = 0;
  for (size_t axis = 0; axis < region.begin.size(); ++axis) {
    offset += region.begin[axis] * strides[axis];
    strides[axis] *= region.step[axis];
  }
  return {offset, strides};
}

Tensor embed(const Tensor& x, const Shape& whole, const Region& region, double background);

// The region of x that has shape `part`.
Tensor extract(const char* op, const Tensor& x, const Shape& part, const Region& region) {
  Tensor source = x.plain(), value = Tensor::empty(part, x.dtype());
  auto [offset, strides] = place(region, x.shape());
  copy_elements(part, {source, strides, offset}, {value, part.strides()});
  return record(op, value, {source}, saved(),
                ByOps{[whole = x.shape(), region](const Back& k) { return Grads{embed(k.g, whole, region, 0)}; }},
                Homogeneity::along({}, true));
}

// x in the region of a tensor of shape `whole` that is `background` elsewhere.
Tensor embed(const Tensor& x, const Shape& whole, const Region& region, double background) {
  Tensor source = x.plain(), value = full(whole, background, x.dtype());
  auto [offset, strides] = place(region, whole);
  copy_elements(x.shape(), {source, x.shape().strides()}, {value, strides, offset});
  return record("pad", value, {source}, saved(),
                ByOps{[part = x.shape(), region](const Back& k) { return Grads{extract("slice", k.g, part, region)}; }},
                background == 0 ? Homogeneity::each() : Homogeneity::never());
}

// Axes that keep their places, but for one along which elements move.
std::vector<int> all_but(int axis, int rank) {
  std::vector<int> axes;
  for (int i = 0; i < rank; ++i) axes.push_back(i == axis ? -1 : i);
  return axes;
}

// Says which entry of x's axis each result element comes from. There is one index for each slice of that axis, or, where
// `per_element`, one for each element.
struct Lookup {
  Tensor indices;
  int axis = 0;
  bool per_element = false;
};

// Calls f(element of the looked-up array, element of the small one) for blocks of `block` neighbours.
template <class F> void each(const Lookup& lookup, const Shape& whole, F f) {
  const int64_t* index = lookup.indices.data<int64_t>();
  int64_t n = whole[lookup.axis], inner = 1, outer = 1;
  for (int axis = 0; axis < whole.rank(); ++axis) (axis < lookup.axis ? outer : inner) *= axis == lookup.axis ? 1 : whole[axis];
  int64_t chosen = lookup.indices.size(lookup.per_element ? lookup.axis : 0);
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t k = 0; k < chosen; ++k) {
      for (int64_t i = 0; i < inner; ++i) {
        int64_t small = (o * chosen + k) * inner + i;
        f((o * n + index[lookup.per_element ? small : k]) * inner + i, small);
      }
    }
  }
}

void check_indices(const char* op, const Tensor& x, const Tensor& indices, int axis) {
  if (indices.dtype() != DType::i64) fail("{}: the indices are {}, not i64", op, describe(indices));
  const int64_t* index = indices.data<int64_t>();
  for (int64_t i = 0; i < indices.numel(); ++i) {
    if (index[i] >= 0 && index[i] < x.shape()[axis]) continue;
    fail("{}: index {} at position {} is outside axis {} of {}", op, index[i], i, axis, describe(x));
  }
}

Tensor scatter_add(const Tensor& x, const Shape& whole, const Lookup& lookup);

Tensor look_up(const char* op, const Tensor& x, const Shape& shape, const Lookup& lookup) {
  Tensor source = x.plain(), value = Tensor::empty(shape, x.dtype());
  visit(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    each(lookup, x.shape(), [from = source.data<T>(), to = value.mutable_data<T>()](int64_t i, int64_t k) { to[k] = from[i]; });
  });
  return record(op, value, {source}, saved(lookup.indices),
                ByOps{[whole = x.shape(), axis = lookup.axis, per = lookup.per_element](const Back& k) {
                  return Grads{scatter_add(k.g, whole, {k.saved[0], axis, per})};
                }},
                Homogeneity::along(all_but(lookup.axis, x.rank())));
}

// Each element of x added where it was looked up.
Tensor scatter_add(const Tensor& x, const Shape& whole, const Lookup& lookup) {
  Tensor source = x.plain(), value = zeros(whole, x.dtype());
  visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    each(lookup, whole,
         [from = source.data<T>(), to = value.mutable_data<T>()](int64_t i, int64_t k) { to[i] = T(to[i] + from[k]); });
  });
  return record("scatter_add", value, {source}, saved(lookup.indices),
                ByOps{[shape = x.shape(), axis = lookup.axis, per = lookup.per_element](const Back& k) {
                  return Grads{look_up("gather", k.g, shape, {k.saved[0], axis, per})};
                }});
}

}  // namespace

Tensor permute(const Tensor& x, const std::vector<int64_t>& axes) {
  std::vector<int64_t> inverse(axes.size(), -1);
  Shape shape;
  Strides own = x.shape().strides(), strides{};
  if (int(axes.size()) != x.rank()) fail("permute: {} axes for {}", axes.size(), describe(x));
  for (size_t i = 0; i < axes.size(); ++i) {
    auto from = size_t(x.shape().axis(axes[i], "permute"));
    if (inverse[from] >= 0) fail("permute: axis {} is named twice", axes[i]);
    inverse[from] = int64_t(i);
    strides[i] = own[from];
    shape.push_back(x.shape()[int(from)]);
  }
  Tensor source = x.plain(), value = Tensor::empty(shape, x.dtype());
  copy_elements(shape, {source, strides}, {value, shape.strides()});
  return record("permute", value, {source}, saved(), ByOps{[inverse](const Back& k) { return Grads{permute(k.g, inverse)}; }},
                Homogeneity::along({inverse.begin(), inverse.end()}, true));
}

Tensor transpose(const Tensor& x) {
  if (x.rank() < 2) fail("transpose: needs at least 2 axes, got {}", describe(x));
  std::vector<int64_t> axes;
  for (int axis = 0; axis < x.rank(); ++axis) axes.push_back(axis);
  std::swap(axes[axes.size() - 1], axes[axes.size() - 2]);
  return permute(x, axes);
}

Tensor flatten(const Tensor& x, int64_t from_axis) {
  int first = x.rank() == 0 ? 0 : x.shape().axis(from_axis, "flatten");
  std::vector<int64_t> shape(x.shape().begin(), x.shape().begin() + first);
  int64_t rest = 1;
  for (int axis = first; axis < x.rank(); ++axis) rest *= x.shape()[axis];
  shape.push_back(rest);
  return x.reshape(shape);
}

Tensor concat(const std::vector<Tensor>& parts, int64_t axis) {
  if (parts.empty()) fail("concat: no tensors given");
  int a = parts[0].shape().axis(axis, "concat");
  Shape whole = parts[0].shape();
  whole[a] = 0;
  std::vector<Tensor> sources;
  for (const Tensor& part : parts) {
    Shape expected = part.shape();
    if (expected.rank() == whole.rank()) expected[a] = parts[0].shape()[a];
    if (expected != parts[0].shape() || part.dtype() != parts[0].dtype()) {
      fail("concat: {} and {} differ off axis {}", describe(parts[0]), describe(part), a);
    }
    whole[a] += part.shape()[a];
    sources.push_back(part.plain());
  }
  Tensor value = Tensor::empty(whole, parts[0].dtype());
  int64_t begin = 0;
  for (const Tensor& part : sources) {
    const Strides strides = whole.strides();
    copy_elements(part.shape(), {part, part.shape().strides()}, {value, strides, begin * strides[size_t(a)]});
    begin += part.shape()[a];
  }
  std::vector<int64_t> lengths;
  for (const Tensor& part : parts) lengths.push_back(part.shape()[a]);
  Homogeneity homogeneity{Homogeneity::Says::terms};
  for (size_t i = 0; i < parts.size(); ++i) homogeneity.inputs.push_back({.term = int(i), .axes = all_but(a, whole.rank())});
  return record(
      "concat", value, sources, saved(), ByOps{[lengths, a](const Back& k) {
        Grads gradients;
        int64_t from = 0;
        for (size_t i = 0; i < lengths.size(); from += lengths[i++]) {
          gradients.push_back(k.needs(i) ? slice(k.g, {.axis = a, .begin = from, .end = from + lengths[i]}) : Tensor());
        }
        return gradients;
      }},
      homogeneity);
}

Tensor stack(const std::vector<Tensor>& parts, int64_t axis) {
  if (parts.empty()) fail("stack: no tensors given");
  std::vector<Tensor> raised;
  for (const Tensor& part : parts) {
    if (part.shape() != parts[0].shape()) fail("stack: {} and {} differ", describe(parts[0]), describe(part));
    std::vector<int64_t> shape = sizes(part.shape());
    int64_t where = axis < 0 ? axis + part.rank() + 1 : axis;
    if (where < 0 || where > part.rank()) fail("stack: no place {} among the axes of {}", axis, describe(part));
    shape.insert(shape.begin() + where, 1);
    raised.push_back(part.reshape(shape));
  }
  return concat(raised, axis);
}

Tensor slice(const Tensor& x, SliceOptions options) {
  int axis = x.shape().axis(options.axis, "slice");
  if (options.step < 1) fail("slice: step is {}, must be 1 or more", options.step);
  int64_t length = x.shape()[axis];
  auto bounded = [length](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + length : i, 0, length); };
  int64_t begin = bounded(options.begin), end = std::max(begin, bounded(options.end));
  Region region{std::vector<int64_t>(size_t(x.rank()), 0), std::vector<int64_t>(size_t(x.rank()), 1)};
  region.begin[size_t(axis)] = begin;
  region.step[size_t(axis)] = options.step;
  Shape shape = x.shape();
  shape[axis] = (end - begin + options.step - 1) / options.step;
  return extract("slice", x, shape, region);
}

Tensor pad(const Tensor& x, const PadOptions& options) {
  auto rank = size_t(x.rank());
  if (options.before.size() != rank || options.after.size() != rank) {
    fail("pad: {} sizes before and {} after, for {}", options.before.size(), options.after.size(), describe(x));
  }
  Shape shape = x.shape();
  for (size_t axis = 0; axis < rank; ++axis) {
    if (options.before[axis] < 0 || options.after[axis] < 0) fail("pad: a size on axis {} is negative", axis);
    shape[int(axis)] += options.before[axis] + options.after[axis];
  }
  return embed(x, shape, {options.before, std::vector<int64_t>(rank, 1)}, options.value);
}

Tensor index_select(const Tensor& x, const Tensor& indices, int64_t axis) {
  int a = x.shape().axis(axis, "index_select");
  if (indices.rank() != 1) fail("index_select: the indices are {}, not one axis", describe(indices));
  check_indices("index_select", x, indices, a);
  Shape shape = x.shape();
  shape[a] = indices.numel();
  return look_up("index_select", x, shape, {indices, a, false});
}

Tensor gather(const Tensor& x, const Tensor& indices, int64_t axis) {
  int a = x.shape().axis(axis, "gather");
  Shape expected = x.shape();
  if (indices.rank() == x.rank()) expected[a] = indices.shape()[a];
  if (indices.shape() != expected) fail("gather: indices {} and {} differ off axis {}", describe(indices), describe(x), a);
  check_indices("gather", x, indices, a);
  return look_up("gather", x, indices.shape(), {indices, a, true});
}

}  // namespace az
