#include "core/kernels/strided.h"

#include <cstring>

#include "core/base/threads.h"

namespace az {
namespace {

template <class T> void copy_run(const T* from, int64_t from_step, T* into, int64_t into_step, int64_t count) {
  if (from_step == 1 && into_step == 1)
    std::memcpy(into, from, size_t(count) * sizeof(T));
  else if (into_step == 1)
    for (int64_t i = 0; i < count; ++i) into[i] = from[i * from_step];
  else
    for (int64_t i = 0; i < count; ++i) into[i * into_step] = from[i * from_step];
}

// into[r, c] = from[c, r], tile by tile, so that whole cache lines are read and written.
template <class T> void transpose(const T* from, int64_t from_step, T* into, int64_t into_step, int64_t rows, int64_t columns) {
  constexpr int64_t tile = 16;
  const int64_t down = (rows + tile - 1) / tile;
  parallel_for(down, std::max<int64_t>(1, (1 << 14) / (tile * columns)), [=](int64_t begin, int64_t end) {
    for (int64_t first = 0; first < columns; first += tile) {
      const int64_t last = std::min(columns, first + tile);
      for (int64_t r = begin * tile; r < std::min(rows, end * tile); ++r) {
        for (int64_t c = first; c < last; ++c) into[r * into_step + c] = from[c * from_step + r];
      }
    }
  });
}

template <class T> void copy_as(const Walk& walk, const void* given, void* result) {
  const T* from = static_cast<const T*>(given);
  T* into = static_cast<T*>(result);
  if (walk.axes == 2 && walk.strides[0][0] == 1 && walk.strides[1][1] == 1 && walk.step[0] > 1)
    return transpose(from, walk.step[0], into, walk.strides[0][1], walk.sizes[0], walk.sizes[1]);
  walk.run(
      [&](const Walk::Offsets& at, int64_t count) { copy_run(from + at[0], walk.step[0], into + at[1], walk.step[1], count); });
}

}  // namespace

Strides broadcast_strides(const Shape& from, const Shape& to) {
  Strides own = from.strides(), result{};
  for (int axis = 0; axis < from.rank(); ++axis) {
    if (from[axis] != 1) result[size_t(axis + to.rank() - from.rank())] = own[size_t(axis)];
  }
  return result;
}

Walk::Walk(const Shape& shape, const std::vector<Strides>& given) : arrays(int(given.size())) {
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] == 1) continue;
    Offsets here{};
    for (size_t i = 0; i < given.size(); ++i) here[i] = given[i][size_t(axis)];
    bool continues = axes > 0;
    for (size_t i = 0; i < given.size() && continues; ++i) continues = strides[size_t(axes - 1)][i] == here[i] * shape[axis];
    if (continues) {
      sizes[size_t(axes - 1)] *= shape[axis];
      strides[size_t(axes - 1)] = here;
    } else {
      sizes[size_t(axes)] = shape[axis];
      strides[size_t(axes++)] = here;
    }
  }
  if (axes == 0) {
    axes = 1;
    sizes[0] = 1;
    strides[0].fill(1);
  }
  step = strides[size_t(axes - 1)];
}

void Walk::run(const std::function<void(const Offsets&, int64_t)>& body, int64_t grain) const {
  int64_t total = 1, inner = sizes[size_t(axes - 1)];
  for (int axis = 0; axis < axes; ++axis) total *= sizes[size_t(axis)];
  parallel_for(total, grain, [&](int64_t begin, int64_t end) {
    std::array<int64_t, Shape::max_rank> index{};
    Offsets at{};
    for (int64_t axis = axes - 1, rest = begin; axis >= 0; --axis) {
      index[size_t(axis)] = rest % sizes[size_t(axis)];
      rest /= sizes[size_t(axis)];
      for (size_t i = 0; i < size_t(arrays); ++i) at[i] += index[size_t(axis)] * strides[size_t(axis)][i];
    }
    while (begin < end) {
      int64_t count = std::min(inner - index[size_t(axes - 1)], end - begin);
      body(at, count);
      begin += count;
      index[size_t(axes - 1)] += count;
      for (size_t i = 0; i < size_t(arrays); ++i) at[i] += count * step[i];
      for (size_t axis = size_t(axes - 1); axis > 0 && index[axis] == sizes[axis]; --axis) {
        index[axis] = 0;
        ++index[axis - 1];
        for (size_t i = 0; i < size_t(arrays); ++i) at[i] += strides[axis - 1][i] - sizes[axis] * strides[axis][i];
      }
    }
  });
}

void copy_strided(const Shape& shape, size_t bytes, const void* from, const Strides& from_strides, void* into,
                  const Strides& into_strides) {
  Walk walk(shape, {from_strides, into_strides});
  switch (bytes) {
    case 1: return copy_as<uint8_t>(walk, from, into);
    case 2: return copy_as<uint16_t>(walk, from, into);
    case 4: return copy_as<uint32_t>(walk, from, into);
    default: return copy_as<uint64_t>(walk, from, into);
  }
}

void copy_bytes(int64_t bytes, const void* from, void* into) {
  parallel_for(bytes, 1 << 18, [=](int64_t begin, int64_t end) {
    std::memcpy(static_cast<char*>(into) + begin, static_cast<const char*>(from) + begin, size_t(end - begin));
  });
}

}  // namespace az
