#pragma once

#include "core/config/options.h"
#include "nn/module.h"

namespace az::nn {

struct DropoutOptions {
  double probability = 0.5;
  static void fields(auto& f) {
    f("probability", &DropoutOptions::probability, "of an element to be zeroed", config::at_least(0.0), config::less_than(1.0));
  }
};

// dropout() in training, nothing in evaluation; any shape.
class Dropout : public Layer<Dropout> {
 public:
  explicit Dropout(const DropoutOptions& options = {}) : options_(config::checked("dropout", options)) {}
  std::string describe() const override;

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  DropoutOptions options_;
};

}  // namespace az::nn
