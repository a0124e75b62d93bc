#include "nn/layers/weight_norm.h"

#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "nn/layers/row_norms.h"
#include "nn/lent_parameter.h"

namespace az::nn {

WeightNorm::WeightNorm(ModulePtr layer) {
  if (!layer) fail("weight_norm: the layer to wrap is null");
  const auto parameters = layer->parameters();
  const auto found = std::find_if(parameters.begin(), parameters.end(),
                                  [](const Parameter& p) { return p.name == "weight" && p.tensor.rank() > 1; });
  if (found == parameters.end()) {
    fail("weight_norm: {} has no weight of two or more dimensions; wrap a conv2d or linear layer", layer->describe());
  }
  const bool is_frozen = !found->tensor.requires_grad();
  const Tensor weight = found->tensor.detach().clone();
  const Tensor norms = row_norms(weight);
  if (min(norms).item() == 0) {
    fail(
        "weight_norm: a row of the weight of {} is all zeros, which has no direction; start it otherwise than with init "
        "\"zeros\"",
        layer->describe());
  }
  LentParameter::take(*layer, "weight");
  add_parameter("weight_g", norms, ParameterKind::norm);
  add_parameter("weight_v", weight);
  if (is_frozen) freeze("weight_[gv]");
  layer_ = add_child("layer", std::move(layer));
}

Tensor WeightNorm::forward(const Tensor& x) {
  Module& layer = child(layer_);
  const Tensor& v = parameter("weight_v");
  const LentParameter weight(layer, "weight", v * (parameter("weight_g") * inverse_row_norms(v)));
  return layer(x);
}

}  // namespace az::nn
