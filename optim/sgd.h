#pragma once

#include "optim/optimizer.h"

namespace az::optim {

struct SgdOptions {
  double lr = 0;  // required
  double momentum = 0;
  double dampening = 0;
  bool nesterov = false;
  double weight_decay = 0;
  bool decoupled = false;
  std::vector<GroupOptions> groups = {};

  static void fields(auto& f) {
    f("lr", &SgdOptions::lr, "learning rate", config::required(), config::more_than(0));
    f("momentum", &SgdOptions::momentum, "share of the last move kept", config::at_least(0), config::less_than(1));
    f("dampening", &SgdOptions::dampening, "gradient enters momentum times 1 - dampening", config::at_least(0),
      config::less_than(1));
    f("nesterov", &SgdOptions::nesterov, "look ahead by one move");
    f("weight_decay", &SgdOptions::weight_decay, "pull of weights towards 0", config::at_least(0));
    f("decoupled", &SgdOptions::decoupled, "decay weights beside the gradient instead of through it");
    f("groups", &SgdOptions::groups, "options that differ for some parameters");
    f.needs("nesterov", {{"momentum", {config::more_than(0)}}, {"dampening", {config::at_most(0)}}},
            "nesterov needs momentum above 0 and dampening 0");
  }
};

// Stochastic gradient descent as torch.optim.SGD: g += weight_decay p; buf = momentum buf + (1 - dampening) g;
// d = nesterov ? g + momentum buf : buf; p -= lr d. Decoupled: g stays raw and p -= lr (d + weight_decay p).
// - The first update copies g into the buffer: no dampening there (SGDP does dampen it).
// - Without momentum there is no buffer, and dampening has no effect.
class Sgd : public Optimizer {
 public:
  Sgd(std::vector<Parameter> parameters, const SgdOptions& options);
  std::vector<std::string> examine() const override;

 protected:
  UpdateInfo update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) override;
  double equilibrium_angle(const Group& group, const UpdateInfo& info) const override;
  EffectiveRate effective_rate(const Parameter&, const Group& group, const ParameterState&) const override {
    return {.rate = group.lr, .norm_power = 2};
  }
  std::optional<NormRule> own_norm_rule() const override;

 private:
  SgdOptions options_;
};

}  // namespace az::optim
