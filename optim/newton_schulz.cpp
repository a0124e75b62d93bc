#include "optim/newton_schulz.h"

#include <algorithm>

#include "core/backend/blas.h"
#include "optim/loops.h"
#include "optim/norm_control.h"

namespace az::optim {
namespace {

// What the steps work in: X, the next X, and for the smaller side S and P.
struct Room {
  Tensor x, next, square, polynomial;
};

// next = P X with P = a I + b S + c S^2, S = X X^T: of a tall X it is X P with S = X^T X, which is smaller and gives the same.
template <class T> void step(const Room& room, const std::vector<double>& coefficients) {
  const int64_t rows = room.x.size(0), columns = room.x.size(1), side = std::min(rows, columns);
  const bool tall = rows > columns;
  const T a = T(coefficients[0]), b = T(coefficients[1]), c = T(coefficients[2]);
  const T* x = room.x.data<T>();
  T *next = room.next.mutable_data<T>(), *s = room.square.mutable_data<T>(), *p = room.polynomial.mutable_data<T>();
  gemm(tall, !tall, side, side, std::max(rows, columns), T(1), x, columns, x, columns, T(0), s, side);
  std::copy(s, s + side * side, p);
  gemm(false, false, side, side, side, c, s, side, s, side, b, p, side);
  for (int64_t i = 0; i < side; ++i) p[i * side + i] += a;
  if (tall)
    gemm(false, false, rows, columns, side, T(1), x, columns, p, side, T(0), next, columns);
  else
    gemm(false, false, rows, columns, side, T(1), p, side, x, columns, T(0), next, columns);
}

}  // namespace

Tensor orthogonalized(Tensor x, const NewtonSchulz& by) {
  if (x.numel() == 0) return x;
  const double norm = norm_of(x);
  set_norm(x, norm / (norm + orthogonalized_eps));
  const int64_t side = std::min(x.size(0), x.size(1));
  const auto room_of = [&](const Shape& shape) { return Tensor::empty(shape, x.dtype()); };
  Room room{x, room_of(x.shape()), room_of({side, side}), room_of({side, side})};
  for (int64_t i = 0; i < by.steps; ++i) {
    with_type(x.dtype(), [&](auto zero) { step<decltype(zero)>(room, by.coefficients); });
    std::swap(room.x, room.next);
  }
  return room.x;
}

}  // namespace az::optim
