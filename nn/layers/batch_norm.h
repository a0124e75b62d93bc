#pragma once

#include "core/config/options.h"
#include "core/ops/norm.h"
#include "nn/module.h"

namespace az::nn {

struct BatchNormOptions {
  double momentum = 0.1, eps = 1e-5;
  bool affine = true;
  bool scale = true;
  bool zero_gamma = false;
  static void fields(auto& f) {
    f("momentum", &BatchNormOptions::momentum, "share of the newest batch in the running statistics", config::at_least(0.0),
      config::at_most(1.0));
    f("eps", &BatchNormOptions::eps, "added to the variance", config::more_than(0.0));
    f("affine", &BatchNormOptions::affine, "learn a scale and a shift per channel");
    f("scale", &BatchNormOptions::scale, "false: of the two, learn the shift alone");
    f("zero_gamma", &BatchNormOptions::zero_gamma, "start the scale at 0 instead of 1");
    f.needs("zero_gamma", {{"affine", {config::one_of({true})}}, {"scale", {config::one_of({true})}}},
            "zero_gamma starts a scale at 0 that affine or scale switches off");
  }
};

// batch_norm() per channel of [n,c] or [n,c,h,w]: by the batch in training, by running_mean and running_var in evaluation.
// weight (the scale) and bias (the shift) [c] are parameters of kind norm.
class BatchNorm : public Module {
 public:
  // The result and what is to follow it, in one pass. `also` is another module whose input or output is what the norm gives by
  // itself: the one behind it, or the one that it is the end of.
  Pass then(const Tensor& x, const Then& then, const Module* also = nullptr);
  // Stands in for that where the convolution before has done it already.
  Pass applied_then(const Pass& conv, const Then& then, const Module* also = nullptr);
  // What batch_norm() takes of it now.
  NormTensors tensors() const;
  BatchNormParams params() const;
  std::string describe() const override;

 protected:
  BatchNorm(int64_t channels, const BatchNormOptions& options, int rank);
  Tensor forward(const Tensor& x) override;

 private:
  Tensor normalise(const Tensor& x, const Then& then) const;
  // What forward(x) gives, for those who watch this module or `also` in a pass that takes more along; nothing changes.
  // Undefined without them.
  Tensor shown(const Tensor& x, const Then& then, const Module* also) const;

  BatchNormOptions options_;
  int rank_;
};

// [n,c]
struct BatchNorm1d : Layer<BatchNorm1d, BatchNorm> {
  explicit BatchNorm1d(int64_t channels, const BatchNormOptions& options = {}) : Layer(channels, options, 2) {}
};

// [n,c,h,w]
struct BatchNorm2d : Layer<BatchNorm2d, BatchNorm> {
  explicit BatchNorm2d(int64_t channels, const BatchNormOptions& options = {}) : Layer(channels, options, 4) {}
};

}  // namespace az::nn
