#pragma once

#include "optim/projection.h"

namespace az::optim {

struct SgdpOptions {
  double lr = 0;  // required
  double momentum = 0;
  double dampening = 0;
  bool nesterov = false;
  double weight_decay = 0;
  double delta = 0.1;
  double wd_ratio = 0.1;
  double eps = 1e-8;
  bool project_momentum = true;
  std::string projection = "rule";
  std::vector<GroupOptions> groups = {};

  static void fields(auto& f) {
    f("lr", &SgdpOptions::lr, "learning rate", config::required(), config::more_than(0));
    f("momentum", &SgdpOptions::momentum, "share of the last move kept", config::at_least(0), config::less_than(1));
    f("dampening", &SgdpOptions::dampening, "gradient enters momentum times 1 - dampening", config::at_least(0),
      config::less_than(1));
    f("nesterov", &SgdpOptions::nesterov, "look ahead by one move");
    f("weight_decay", &SgdpOptions::weight_decay, "pull of weights towards 0, beside the gradient", config::at_least(0));
    f("delta", &SgdpOptions::delta, "project where |cos(gradient, weight)| < delta / sqrt(row length)", config::at_least(0));
    f("wd_ratio", &SgdpOptions::wd_ratio, "factor on weight decay where projected", config::at_least(0));
    f("eps", &SgdpOptions::eps, "keeps norms away from 0", config::more_than(0));
    f("project_momentum", &SgdpOptions::project_momentum, "project the stored momentum too, as the authors' code does");
    f("projection", &SgdpOptions::projection, projection_help, projection_choices());
    f("groups", &SgdpOptions::groups, "options that differ for some parameters");
  }
};

// SGDP (Heo et al., ICLR 2021), as the authors' code v0.3.0: buf = momentum buf + (1 - dampening) g, from 0;
// d = nesterov ? g + momentum buf : buf; project d (projection.h); p *= 1 - lr weight_decay ratio / (1 - momentum); p -= lr d.
// - The authors' d is the buffer itself, so the stored momentum is projected too; their paper's Algorithm 1 keeps it whole:
//   project_momentum false. With nesterov, d is a copy and the option has no effect.
// - The first update dampens the gradient (torch.optim.SGD does not).
// - Without momentum d is (1 - dampening) g, or with nesterov g: the authors' code takes what torch.optim.SGD refuses.
// - Decay is always decoupled and divided by 1 - momentum, to weigh as much as a coupled one.
class Sgdp : public Optimizer {
 public:
  Sgdp(std::vector<Parameter> parameters, const SgdpOptions& options);
  std::vector<std::string> examine() const override;

 protected:
  UpdateInfo update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) override;
  double equilibrium_angle(const Group& group, const UpdateInfo& info) const override;
  EffectiveRate effective_rate(const Parameter&, const Group& group, const ParameterState&) const override {
    return {.rate = group.lr, .norm_power = 2};
  }
  std::optional<NormRule> own_norm_rule() const override;

 private:
  SgdpOptions options_;
};

}  // namespace az::optim
