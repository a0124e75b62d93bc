#pragma once

#include "nn/layers/sequential.h"

namespace az::nn {

// relu(body(x) + shortcut(x)), or without the relu. An empty shortcut is x itself. A batch norm that ends the body takes the
// rest along in its own pass, by run_fused().
class Residual : public Layer<Residual> {
 public:
  explicit Residual(Sequential body, Sequential shortcut = Sequential(), bool relu = true);

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  Child<Sequential> body_, shortcut_;
  bool relu_;
};

}  // namespace az::nn
