#pragma once

#include "core/config/options.h"
#include "nn/module.h"

namespace az::nn {

struct ScaleOptions {
  double factor = 1;
  static void fields(auto& f) { f("factor", &ScaleOptions::factor, "multiplies every element", config::required()); }
};

// factor * x, of any shape; nothing is learned.
class Scale : public Layer<Scale> {
 public:
  explicit Scale(const ScaleOptions& options) : options_(config::checked("scale", options)) {}
  std::string describe() const override;

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  ScaleOptions options_;
};

}  // namespace az::nn
