#pragma once

#include <functional>

#include "core/backend/onednn/conv_trial.h"

// The convolution and its two gradients: how oneDNN is told each of them, and how its primitives are run. For the back end's
// convolutions only.
namespace az::onednn {

// Is called with each implementation of an algorithm.
template <class P> using Visit = std::function<void(typename P::primitive_desc)>;

struct ConvForward {
  using Primitive = dnnl::convolution_forward;
  struct Operands {
    const Tensor &x, &weight, &bias, &scale;
    const Then& then;
  };
  static Operands of(const ConvTrial& trial) { return {trial.x, trial.weight, trial.bias, trial.scale, trial.then}; }
  static const Layout* result_of(const ConvLayouts& layouts) { return layouts.y; }
  ConvProblem problem;

  void describe(dnnl::algorithm algorithm, const Visit<Primitive>& visit) const;
  Tensor solve(const Convolution<Primitive>& by, const Operands& operands) const;
};

struct ConvBackwardData {
  using Primitive = dnnl::convolution_backward_data;
  struct Operands {
    const Tensor &g, &weight;
  };
  static Operands of(const ConvTrial& trial) { return {trial.g, trial.weight}; }
  static const Layout* result_of(const ConvLayouts& layouts) { return layouts.x; }
  ConvProblem problem;

  void describe(dnnl::algorithm algorithm, const Visit<Primitive>& visit) const;
  Tensor solve(const Convolution<Primitive>& by, const Operands& operands) const;
};

struct ConvBackwardWeights {
  using Primitive = dnnl::convolution_backward_weights;
  struct Operands {
    const Tensor &x, &g;
  };
  static Operands of(const ConvTrial& trial) { return {trial.x, trial.g}; }
  static const Layout* result_of(const ConvLayouts&) { return nullptr; }  // always row-major in the end
  ConvProblem problem;

  void describe(dnnl::algorithm algorithm, const Visit<Primitive>& visit) const;
  ConvWeightGradients solve(const Convolution<Primitive>& by, const Operands& operands) const;
};

}  // namespace az::onednn
