#pragma once

#include "nn/module.h"

namespace az::nn {

// A layer whose weight is g v / ||v||, row by row (an output channel): w_i = g_i v_i / max(||v_i||, 1e-12). weight_g
// [out,1,...] and weight_v, of the weight's shape, are trained in its stead, or frozen where it is, and start from it. v is
// scale-invariant; a row of it that has become all zeros gets no gradient. The layer's bias stays its own. Salimans and
// Kingma, "Weight normalization", 2016; as torch.nn.utils.weight_norm with dim 0.
class WeightNorm : public Layer<WeightNorm> {
 public:
  // Throws unless the layer has a weight of two or more dimensions, and no row of it all zeros.
  explicit WeightNorm(ModulePtr layer);
  std::string describe() const override { return "WeightNorm"; }

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  Child<Module> layer_;
};

}  // namespace az::nn
