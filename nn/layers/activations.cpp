#include "nn/layers/activations.h"

#include <fmt/format.h>

#include "core/ops/activations.h"

namespace az::nn {

Tensor ReLU::forward(const Tensor& x) { return relu(x); }
Tensor LeakyReLU::forward(const Tensor& x) { return leaky_relu(x, options_.slope); }
Tensor GELU::forward(const Tensor& x) { return gelu(x); }
Tensor SiLU::forward(const Tensor& x) { return silu(x); }
Tensor Tanh::forward(const Tensor& x) { return tanh(x); }
Tensor Sigmoid::forward(const Tensor& x) { return sigmoid(x); }

std::string LeakyReLU::describe() const { return fmt::format("LeakyReLU(slope {})", options_.slope); }

}  // namespace az::nn
