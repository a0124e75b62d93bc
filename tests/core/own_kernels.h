#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/backend/reorder.h"
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

// So many floats that hold nothing yet. What is behind them stays as it is.
class Guarded {
 public:
  explicit Guarded(int64_t count) : floats_(size_t(count), NAN) { floats_.resize(size_t(count) + behind, 7); }
  Guarded(const Guarded&) = delete;
  ~Guarded() { CHECK(std::count(floats_.end() - behind, floats_.end(), 7.0F) == behind); }
  float* data() const { return floats_.data(); }

 private:
  static constexpr int64_t behind = 1 << 20;
  mutable std::vector<float> floats_;
};

// Operands of a Run in bf16, with a NaN in the residual, the same numbers in f32, and both residuals laid out for it.
struct Bf16Operands {
  Tensor x, g, residual, w, x32, g32, residual32;
  template <class Run> Bf16Operands(const Run& run, Philox& random) {
    const auto rounded = [&](const Shape& shape) { return normal(shape, random).to(DType::bf16); };
    x = rounded(run.of_x), g = rounded(run.of_y), w = normal(run.of_w, random);
    Tensor added = rounded(run.of_y);
    added.mutable_data<bf16>()[0] = NAN;
    x32 = x.to(DType::f32), g32 = g.to(DType::f32);
    residual = laid_out(added, run.layout), residual32 = laid_out(added.to(DType::f32), run.layout);
  }
};

}  // namespace az
