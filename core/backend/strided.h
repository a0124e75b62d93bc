#pragma once

#include <array>
#include <functional>
#include <vector>

#include "core/dtype.h"
#include "core/shape.h"

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

// Numbers are computed in this type: itself, but float for bf16.
template <class T> struct ComputeOf { using type = T; };
template <> struct ComputeOf<bf16> { using type = float; };
template <class T> using Compute = typename ComputeOf<T>::type;

// The next wider type: differences of close numbers keep their digits in it, and squares do not overflow.
template <class T> struct WiderOf { using type = double; };
template <> struct WiderOf<double> { using type = long double; };
template <class T> using Wider = typename WiderOf<T>::type;

// Calls f with a value of the C++ type behind a floating type.
template <class F> decltype(auto) visit_float(DType type, F&& f) {
  switch (type) {
    case DType::f64: return f(double{});
    case DType::bf16: return f(bf16{});
    default: return f(float{});
  }
}

}  // namespace az
