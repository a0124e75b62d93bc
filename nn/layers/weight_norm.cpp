#include "nn/layers/weight_norm.h"

#include <numeric>

#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"

namespace az::nn {
namespace {

// Of each row, [out,1,...].
Tensor row_norms(const Tensor& v) {
  std::vector<int64_t> axes(size_t(v.rank() - 1));
  std::iota(axes.begin(), axes.end(), 1);
  return norm(v, {.axes = axes, .keep_axes = true});
}

}  // namespace

WeightNorm::WeightNorm(ModulePtr layer) {
  const auto parameters = layer->parameters();
  const bool fits = std::any_of(parameters.begin(), parameters.end(),
                                [](const Parameter& p) { return p.name == "weight" && p.tensor.rank() > 1; });
  if (!fits) {
    fail("weight_norm: {} has no weight of two or more dimensions; wrap a conv2d or linear layer", layer->describe());
  }
  const Tensor weight = layer->derive_parameter("weight").clone();
  add_parameter("weight_g", row_norms(weight), ParameterKind::norm);
  add_parameter("weight_v", weight);
  add_child("layer", std::move(layer));
}

Tensor WeightNorm::forward(const Tensor& x) {
  Module& layer = child("layer");
  const Tensor &v = parameter("weight_v"), weight = v * (parameter("weight_g") / row_norms(v));
  layer.set_derived("weight", weight);
  const Tensor y = layer(x);
  layer.set_derived("weight", weight.detach());  // lets go of the graph
  return y;
}

}  // namespace az::nn
