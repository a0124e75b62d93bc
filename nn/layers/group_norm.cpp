#include "nn/layers/group_norm.h"

#include <fmt/format.h>

#include "core/ops/norm.h"
#include "core/tensor/create.h"

namespace az::nn {

GroupNorm::GroupNorm(int64_t channels, const GroupNormOptions& options) : options_(config::checked("group_norm", options)) {
  if (channels < 1 || options.groups < 1 || channels % options.groups != 0) {
    fail("GroupNorm: {} groups do not divide {} channels", options.groups, channels);
  }
  add_parameter("weight", ones({channels}), ParameterKind::norm);
  add_parameter("bias", zeros({channels}), ParameterKind::norm);
}

Tensor GroupNorm::forward(const Tensor& x) {
  if (x.numel() == x.size(0) * options_.groups && x.numel() > 0)
    fail("GroupNorm: each of the {} groups has one value of the input {}, which becomes 0 whatever it is; take fewer groups",
         options_.groups, x.shape().str());
  return group_norm(x, parameter("weight"), parameter("bias"), {.groups = options_.groups, .eps = options_.eps});
}

std::string GroupNorm::describe() const {
  return fmt::format("GroupNorm({}, groups {})", parameter("weight").numel(), options_.groups);
}

}  // namespace az::nn
