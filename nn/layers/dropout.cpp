#include "nn/layers/dropout.h"

#include <fmt/format.h>

#include "core/ops/activations.h"

namespace az::nn {

Tensor Dropout::forward(const Tensor& x) {
  return training() && options_.probability > 0 ? dropout(x, options_.probability) : x;
}

std::string Dropout::describe() const { return fmt::format("Dropout({})", options_.probability); }

}  // namespace az::nn
