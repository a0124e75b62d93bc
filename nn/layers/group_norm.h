#pragma once

#include "core/config/options.h"
#include "nn/module.h"

namespace az::nn {

struct GroupNormOptions {
  int64_t groups = 32;
  double eps = 1e-5;
  static void fields(auto& f) {
    f("groups", &GroupNormOptions::groups, "groups of channels, normalised together; divides their number",
      config::at_least(1));
    f("eps", &GroupNormOptions::eps, "added to the variance", config::more_than(0.0));
  }
};

// group_norm() of [n,c,...], sample by sample; weight and bias [c] are parameters of kind norm.
class GroupNorm : public Layer<GroupNorm> {
 public:
  explicit GroupNorm(int64_t channels, const GroupNormOptions& options = {});
  std::string describe() const override;

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  GroupNormOptions options_;
};

}  // namespace az::nn
