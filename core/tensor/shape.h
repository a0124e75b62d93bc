#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace az {

// The sizes of a tensor's axes, outermost first; at most max_rank of them. A scalar has rank 0 and one element.
class Shape {
 public:
  static constexpr int max_rank = 8;

  Shape() = default;
  Shape(std::initializer_list<int64_t> sizes) : Shape(sizes.begin(), sizes.end()) {}
  explicit Shape(const std::vector<int64_t>& sizes) : Shape(sizes.data(), sizes.data() + sizes.size()) {}
  Shape(const int64_t* first, const int64_t* last);

  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return sizes_[size_t(axis)]; }
  int64_t& operator[](int axis) { return sizes_[size_t(axis)]; }
  const int64_t* begin() const { return sizes_.data(); }
  const int64_t* end() const { return sizes_.data() + rank_; }
  // Throws when the sizes other than 0 multiply to more than an int64_t holds.
  int64_t numel() const;
  void push_back(int64_t size);

  // Row-major strides, in elements.
  std::array<int64_t, max_rank> strides() const;
  // Axis counted from the front; negative ones count from the back. Throws, naming `op`, when there is no such axis.
  int axis(int64_t wanted, const char* op) const;
  // "[8,3,32,32]"
  std::string str() const;

  friend bool operator==(const Shape& a, const Shape& b);

 private:
  std::array<int64_t, max_rank> sizes_{};
  int rank_ = 0;
};

// NumPy's rule: aligned at the last axis, sizes equal or one of them 1. Throws "op: shapes [2,3] and [4] do not broadcast".
Shape broadcast(const Shape& a, const Shape& b, const char* op);

}  // namespace az
