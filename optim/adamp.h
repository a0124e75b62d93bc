#pragma once

#include "optim/adam.h"
#include "optim/projection.h"

namespace az::optim {

struct AdampOptions {
  double lr = 1e-3;
  std::vector<double> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 0;
  double delta = 0.1;
  double wd_ratio = 0.1;
  bool nesterov = false;
  std::string projection = "rule";
  std::vector<GroupOptions> groups = {};

  static void fields(auto& f) {
    f("lr", &AdampOptions::lr, "learning rate", config::more_than(0));
    f("betas", &AdampOptions::betas, "shares of the mean gradient and mean square kept", config::at_least(0),
      config::less_than(1), config::elements(2, 2));
    f("eps", &AdampOptions::eps, "added to the root mean square; keeps norms away from 0", config::more_than(0));
    f("weight_decay", &AdampOptions::weight_decay, "pull of weights towards 0, beside the gradient", config::at_least(0));
    f("delta", &AdampOptions::delta, "project where |cos(gradient, weight)| < delta / sqrt(row length)", config::at_least(0));
    f("wd_ratio", &AdampOptions::wd_ratio, "factor on weight decay where projected", config::at_least(0));
    f("nesterov", &AdampOptions::nesterov, "look ahead by one move");
    f("projection", &AdampOptions::projection, projection_help, projection_choices());
    f("groups", &AdampOptions::groups, "options that differ for some parameters");
  }
};

// AdamP (Heo et al., ICLR 2021), as the authors' code v0.3.0. m, v as in Adam, from the raw gradient;
// d = (nesterov ? beta1 m + (1 - beta1) g : m) / (sqrt(v) / sqrt(1 - beta2^t) + eps); project d (projection.h);
// p *= 1 - lr weight_decay ratio; p -= lr / (1 - beta1^t) d.
// - It builds on AdamW: decay is decoupled, after the projection and before the move.
// - d is a copy: m and v stay unprojected (SGDP's stored momentum does not).
// - Decay takes the raw learning rate, the move the bias-corrected one.
class Adamp : public Optimizer {
 public:
  Adamp(std::vector<Parameter> parameters, const AdampOptions& options);
  std::vector<std::string> examine() const override;

 protected:
  UpdateInfo update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) override;
  double equilibrium_angle(const Group& group, const UpdateInfo& info) const override;
  EffectiveRate effective_rate(const Parameter& parameter, const Group& group, const ParameterState& state) const override;
  std::optional<NormRule> own_norm_rule() const override;

 private:
  AdampOptions options_;
};

}  // namespace az::optim
