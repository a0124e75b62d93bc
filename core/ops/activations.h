#pragma once

#include "core/tensor/tensor.h"

// What stands between layers, element by element: x [..] -> [..], of a floating type.
namespace az {

Tensor relu(const Tensor& x);                       // max(x, 0); NaN stays NaN
Tensor add_relu(const Tensor& a, const Tensor& b);  // relu(a + b), same shapes, in one pass
Tensor leaky_relu(const Tensor& x, double slope = 0.01);
Tensor gelu(const Tensor& x);     // x * Phi(x), exact (erf)
Tensor silu(const Tensor& x);     // x * sigmoid(x)
Tensor sigmoid(const Tensor& x);  // 1 / (1 + exp(-x))
Tensor tanh(const Tensor& x);
// Zeroes each element with `probability`, scales the others by 1/(1 - probability).
Tensor dropout(const Tensor& x, double probability);

}  // namespace az
