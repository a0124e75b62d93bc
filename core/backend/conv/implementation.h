#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "core/backend/conv/trial.h"

// The convolution and its two gradients, and ways to compute them. For the back end's convolutions only.
namespace az {

struct ConvForward {
  struct Operands {
    const Tensor &x, &weight, &bias, &scale;
    const Then& then;
  };
  using Result = Tensor;
  static Operands of(const ConvTrial& trial) { return {trial.x, trial.weight, trial.bias, trial.scale, trial.then}; }
};
struct ConvBackwardData {
  struct Operands {
    const Tensor &g, &weight;
  };
  using Result = Tensor;
  static Operands of(const ConvTrial& trial) { return {trial.g, trial.weight}; }
};
struct ConvBackwardWeights {
  struct Operands {
    const Tensor &x, &g;
  };
  using Result = ConvWeightGradients;
  static Operands of(const ConvTrial& trial) { return {trial.x, trial.g}; }
};

// Computes one problem of a direction.
template <class Direction> using Solve = std::function<typename Direction::Result(const typename Direction::Operands&)>;

// A way to compute a problem.
template <class Direction> struct Implementation {
  std::string name;         // "jit:avx2"
  const Layout *x, *y;      // how it lays out its images
  bool transforms = false;  // it sums transformed numbers, as Winograd's methods do, which rounds
  int64_t images;           // so many its code depends on: it is tried with these
  std::function<Solve<Direction>()> make;
};
// The implementations of a problem. The first `competing` are worth a try, the preferred one first, and lay out their results
// alike, since others go on from there; the rest is for where none of those is right.
template <class Direction> struct Implementations {
  std::vector<Implementation<Direction>> all = {};
  size_t competing = 0;

  size_t find(const std::string& name) const {
    return size_t(std::ranges::find(all, name, &Implementation<Direction>::name) - all.begin());
  }
};
template <class Direction> using Offer = std::function<Implementations<Direction>(const ConvProblem&)>;

}  // namespace az
