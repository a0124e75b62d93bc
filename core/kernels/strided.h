#pragma once

#include <array>
#include <functional>
#include <vector>

#include "core/tensor/dtype.h"
#include "core/tensor/shape.h"

// Walks several arrays together over one shape, however each of them repeats or skips elements.
namespace az {

using Strides = std::array<int64_t, Shape::max_rank>;

// Strides of a row-major array of shape `from` read as shape `to`: 0 along the axes that repeat.
Strides broadcast_strides(const Shape& from, const Shape& to);

// A shape with one set of strides per array, merged to the fewest axes.
struct Walk {
  static constexpr int max_arrays = 4;
  using Offsets = std::array<int64_t, max_arrays>;

  Walk(const Shape& shape, const std::vector<Strides>& strides);
  // Calls body(offsets, count) in parallel on runs of the innermost axis; array i's element k lies at offsets[i] + k * step[i].
  void run(const std::function<void(const Offsets&, int64_t)>& body, int64_t grain = 1 << 14) const;

  int arrays;
  int axes = 0;  // at least one after construction
  std::array<int64_t, Shape::max_rank> sizes{};
  std::array<Offsets, Shape::max_rank> strides{};  // by axis, then array
  Offsets step{};                                  // of the innermost axis
};

// into[sum index * into_strides] = from[sum index * from_strides] for every index of `shape`, elements of `bytes` bytes.
void copy_strided(const Shape& shape, size_t bytes, const void* from, const Strides& from_strides, void* into,
                  const Strides& into_strides);
// Copies `bytes` bytes as they lie.
void copy_bytes(int64_t bytes, const void* from, void* into);

}  // namespace az
