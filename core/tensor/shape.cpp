#include "core/tensor/shape.h"

#include <algorithm>

#include "core/base/error.h"

namespace az {

Shape::Shape(const int64_t* first, const int64_t* last) {
  for (; first != last; ++first) push_back(*first);
}

void Shape::push_back(int64_t size) {
  if (rank_ == max_rank) fail("shape: a tensor has at most {} axes", max_rank);
  if (size < 0) fail("shape: a size is not negative (got {})", size);
  sizes_[size_t(rank_++)] = size;
}

int64_t Shape::numel() const {
  int64_t count = 1;
  bool is_empty = false;
  for (int64_t size : *this) {
    is_empty |= size == 0;  // strides are counted past it
    if (size != 0 && __builtin_mul_overflow(count, size, &count)) fail("shape: {} has too many elements", str());
  }
  return is_empty ? 0 : count;
}

std::array<int64_t, Shape::max_rank> Shape::strides() const {
  std::array<int64_t, max_rank> strides{};
  int64_t stride = 1;
  for (int axis = rank_ - 1; axis >= 0; --axis) {
    strides[size_t(axis)] = stride;
    stride *= (*this)[axis];
  }
  return strides;
}

int Shape::axis(int64_t wanted, const char* op) const {
  int64_t axis = wanted < 0 ? wanted + rank_ : wanted;
  if (axis < 0 || axis >= rank_) fail("{}: no axis {} in shape {}", op, wanted, str());
  return int(axis);
}

std::string Shape::str() const {
  std::string text = "[";
  for (int axis = 0; axis < rank_; ++axis) text += (axis ? "," : "") + std::to_string((*this)[axis]);
  return text + "]";
}

bool operator==(const Shape& a, const Shape& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

Shape broadcast(const Shape& a, const Shape& b, const char* op) {
  int rank = std::max(a.rank(), b.rank());
  Shape result;
  for (int axis = 0; axis < rank; ++axis) {
    int ia = axis - rank + a.rank(), ib = axis - rank + b.rank();
    int64_t sa = ia < 0 ? 1 : a[ia], sb = ib < 0 ? 1 : b[ib];
    if (sa != sb && sa != 1 && sb != 1) fail("{}: shapes {} and {} do not broadcast", op, a.str(), b.str());
    result.push_back(sa == 1 ? sb : sa);
  }
  return result;
}

}  // namespace az
