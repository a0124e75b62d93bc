#pragma once

#include "core/config/options.h"
#include "nn/module.h"

// Functions of each element, of any shape; see core/ops/activations.h.
namespace az::nn {

// max(x, 0). In evaluation, where no gradient is needed, a convolution may take it in together with the batch norm between
// them: what is below zero may then be -1e-20 |y| instead of 0, and -inf stays.
class ReLU : public Layer<ReLU> {
 protected:
  Tensor forward(const Tensor& x) override;
};

struct LeakyReLUOptions {
  double slope = 0.01;
  static void fields(auto& f) { f("slope", &LeakyReLUOptions::slope, "factor of what is negative"); }
};

class LeakyReLU : public Layer<LeakyReLU> {
 public:
  explicit LeakyReLU(const LeakyReLUOptions& options = {}) : options_(config::checked("leaky_relu", options)) {}
  std::string describe() const override;

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  LeakyReLUOptions options_;
};

class GELU : public Layer<GELU> {
 protected:
  Tensor forward(const Tensor& x) override;
};

class SiLU : public Layer<SiLU> {
 protected:
  Tensor forward(const Tensor& x) override;
};

class Tanh : public Layer<Tanh> {
 protected:
  Tensor forward(const Tensor& x) override;
};

class Sigmoid : public Layer<Sigmoid> {
 protected:
  Tensor forward(const Tensor& x) override;
};

}  // namespace az::nn
