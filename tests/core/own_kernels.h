#pragma once

#include <cstring>

#include "core/base/random.h"
#include "core/tensor/create.h"

// What the tests of our own convolution kernels share.
namespace az {

inline constexpr double u = 0x1p-24;  // half a unit in the last place of 1

inline Tensor normal(const Shape& shape, Philox& random) {
  const Tensor t = Tensor::empty(shape);
  for (int64_t i = 0; i < t.numel(); ++i) t.mutable_data<float>()[i] = float(random.normal());
  return t;
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  const auto first = a.to_vector<float>(), second = b.to_vector<float>();
  return a.dtype() == b.dtype() && first.size() == second.size() &&
         std::memcmp(first.data(), second.data(), first.size() * sizeof(float)) == 0;
}

}  // namespace az
