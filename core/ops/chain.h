#pragma once

#include "core/autograd/autograd.h"
#include "core/autograd/sums.h"
#include "core/backend/pointwise.h"
#include "core/ops/elementwise.h"

// How the gradients of ops are written that work element by element.
namespace az {

// How a gradient passes an op y = f(x): slope(g, x) = g f'(x) in one kernel. `second` makes h f''(x) of ops, from h and x.
template <template <class> class Number, class Slope, class Second>
auto chain(const char* name, const Tensor& g, const Tensor& x, Slope slope, Second second) -> Tensor {
  return record(name, map_pair<Number>(g, x, slope), {g, x}, saved(g, x), ByOps{[=](const Back& k) {
                  const Tensor &up = k.saved[0], &at = k.saved[1];
                  return Grads{k.needs(0) ? chain<Number>(name, k.g, at, slope, second) : Tensor(),
                               k.needs(1) ? second(k.g * up, at) : Tensor()};
                }});
}

// Does the same where f' is constant in pieces: pass(g, x) = g f'(x), which is linear in g.
template <class Pass> Tensor pass_by(const char* name, const Tensor& g, const Tensor& x, Pass pass) {
  return record(name, map_pair(g, x, pass), {g}, saved(x.detach()),
                ByOps{[=](const Back& k) { return Grads{pass_by(name, k.g, k.saved[0], pass)}; }});
}

}  // namespace az
