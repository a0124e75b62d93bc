#pragma once

#include "optim/optimizer.h"

namespace az::optim {

struct AdamOptions {
  double lr = 1e-3;
  std::vector<double> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 0;
  std::vector<GroupOptions> groups = {};

  static void fields(auto& f) {
    f("lr", &AdamOptions::lr, "learning rate", config::more_than(0));
    f("betas", &AdamOptions::betas, "shares of the mean gradient and mean square kept", config::at_least(0),
      config::less_than(1), config::elements(2, 2));
    f("eps", &AdamOptions::eps, "added to the root mean square", config::at_least(0));
    f("weight_decay", &AdamOptions::weight_decay, "L2 penalty, added to the gradient", config::at_least(0));
    f("groups", &AdamOptions::groups, "options that differ for some parameters");
  }
};

struct AdamWOptions {
  double lr = 1e-3;
  std::vector<double> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 1e-2;
  std::vector<GroupOptions> groups = {};

  static void fields(auto& f) {
    f("lr", &AdamWOptions::lr, "learning rate", config::more_than(0));
    f("betas", &AdamWOptions::betas, "shares of the mean gradient and mean square kept", config::at_least(0),
      config::less_than(1), config::elements(2, 2));
    f("eps", &AdamWOptions::eps, "added to the root mean square", config::at_least(0));
    f("weight_decay", &AdamWOptions::weight_decay, "pull of weights towards 0, beside the gradient", config::at_least(0));
    f("groups", &AdamWOptions::groups, "options that differ for some parameters");
  }
};

// Adam (Kingma and Ba) as torch.optim.Adam: g += weight_decay p; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
// p -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps), t counting this parameter's own updates.
// - eps is added outside the root, after the bias correction of v.
// - Decay is coupled: it passes through m and v, unlike in AdamW and AdamP.
class Adam : public Optimizer {
 public:
  Adam(std::vector<Parameter> parameters, const AdamOptions& options);

 protected:
  UpdateInfo update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) override;
  EffectiveRate effective_rate(const Parameter& parameter, const Group& group, const ParameterState& state) const override;

 private:
  AdamOptions options_;
};

// AdamW (Loshchilov and Hutter) as torch.optim.AdamW: Adam on the raw gradient, and p *= 1 - lr weight_decay before the move.
class AdamW : public Optimizer {
 public:
  AdamW(std::vector<Parameter> parameters, const AdamWOptions& options);

 protected:
  UpdateInfo update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) override;
  double equilibrium_angle(const Group& group, const UpdateInfo& info) const override;
  EffectiveRate effective_rate(const Parameter& parameter, const Group& group, const ParameterState& state) const override;

 private:
  AdamWOptions options_;
};

}  // namespace az::optim
