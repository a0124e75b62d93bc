#pragma once

#include "core/config/options.h"
#include "nn/module.h"

namespace az::nn {

struct LayerNormOptions {
  double eps = 1e-5;
  static void fields(auto& f) { f("eps", &LayerNormOptions::eps, "added to the variance", config::more_than(0.0)); }
};

// layer_norm() over the last axes, of the given sizes (in JSON: all but the first); weight and bias of these sizes are
// parameters of kind norm.
class LayerNorm : public Layer<LayerNorm> {
 public:
  explicit LayerNorm(const Shape& sizes, const LayerNormOptions& options = {});
  std::string describe() const override;

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  LayerNormOptions options_;
};

}  // namespace az::nn
