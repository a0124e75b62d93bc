#pragma once

#include "core/tensor/tensor.h"

namespace az {

class Philox;

Tensor zeros(const Shape& shape, DType type = DType::f32);
Tensor ones(const Shape& shape, DType type = DType::f32);
Tensor full(const Shape& shape, double value, DType type = DType::f32);
Tensor zeros_like(const Tensor& x);  // shape, type and layout of x
Tensor ones_like(const Tensor& x);   // shape and type of x, plain
// start, start + step, ... while before end
struct ArangeOptions {
  double start = 0, end = 0, step = 1;
};
Tensor arange(ArangeOptions range, DType type = DType::f32);
Tensor randn(const Shape& shape, DType type = DType::f32);  // normal, mean 0, variance 1, from next_generator()
Tensor randn(const Shape& shape, Philox& generator, DType type = DType::f32);
struct UniformOptions {
  double low = 0, high = 1;
};
Tensor uniform(const Shape& shape, UniformOptions range, DType type = DType::f32);  // [low, high)
Tensor uniform(const Shape& shape, UniformOptions range, Philox& generator, DType type = DType::f32);

}  // namespace az
