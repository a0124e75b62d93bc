#pragma once

#include <vector>

#include "core/tensor/tensor.h"

namespace az::optim {

struct NewtonSchulz {
  int64_t steps;
  std::vector<double> coefficients;  // a, b, c
};

// A matrix near U V^T, of X [rows,columns] = U S V^T, a singular value decomposition; X is f32 or f64, and what it holds is
// overwritten. It is X / (||X||_F + eps), whose singular values are at most 1, after so many times X <- a X + b (X X^T) X +
// c (X X^T)^2 X, which takes each of them to a s + b s^3 + c s^5 and leaves U and V alone. Of zeros it is zeros.
Tensor orthogonalized(Tensor x, const NewtonSchulz& by);
constexpr double orthogonalized_eps = 1e-7;

}  // namespace az::optim
