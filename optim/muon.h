#pragma once

#include "optim/optimizer.h"

namespace az::optim {

struct MuonOptions {
  double lr = 0;  // required
  double momentum = 0.95;
  bool nesterov = true;
  int64_t ns_steps = 5;
  std::vector<double> ns_coefficients = {3.4445, -4.775, 2.0315};
  double weight_decay = 0;
  bool normalize = false;
  std::vector<GroupOptions> groups = {};

  static void fields(auto& f) {
    f("lr", &MuonOptions::lr, "learning rate; a step's singular values are about lr sqrt(max(1, rows / columns))",
      config::required(), config::more_than(0));
    f("momentum", &MuonOptions::momentum, "share of the momentum kept", config::at_least(0), config::less_than(1));
    f("nesterov", &MuonOptions::nesterov, "look ahead by one move");
    f("ns_steps", &MuonOptions::ns_steps, "Newton-Schulz steps, which take singular values towards 1", config::at_least(1),
      config::at_most(100));
    f("ns_coefficients", &MuonOptions::ns_coefficients, "a, b and c: each step takes a singular value s to a s + b s^3 + c s^5",
      config::elements(3, 3));
    f("weight_decay", &MuonOptions::weight_decay, "pull of weights towards 0, beside the gradient", config::at_least(0));
    f("normalize", &MuonOptions::normalize, "scale each weight to the norm sqrt(output channels) before its step");
    f("groups", &MuonOptions::groups, "options that differ for some parameters; other optimizers for those of one dimension");
  }
};

// Muon (Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024, kellerjordan.github.io/posts/muon), for
// weights of two or more dimensions, each taken as a matrix [rows,columns] of one row an output channel:
// buf = momentum buf + g; u = nesterov ? g + momentum buf : buf; O = u, its singular values taken to about 1 (newton_schulz.h);
// w *= 1 - lr weight_decay; w -= lr sqrt(max(1, rows / columns)) O.
// - buf is as in the author's airbench94_muon. His repository averages instead, buf = momentum buf + (1 - momentum) g, which is
//   1 - momentum times that: O does not depend on the factor.
// - His repository takes rows / columns of a filter's last two dimensions, so that it has a factor of 1; airbench94_muon has
//   none. Here it is of the matrix, as his article has it; it is 1 for what is not tall.
// - His code computes O in bf16, this in the weight's own type.
// - airbench94_muon first scales w to the norm sqrt(rows): normalize.
// Throws for a parameter of fewer dimensions, or whose kind is another, unless it needs no gradient, or a group freezes it or
// gives it to another optimizer; for one that is thawed later, before its first update.
class Muon : public Optimizer {
 public:
  Muon(std::vector<Parameter> parameters, const MuonOptions& options);
  // Coefficients that take singular values beyond all bounds, or all of them to 0.
  std::vector<std::string> examine() const override;

 protected:
  UpdateInfo update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) override;
  double equilibrium_angle(const Group& group, const UpdateInfo& info) const override;
  EffectiveRate effective_rate(const Parameter& parameter, const Group& group, const ParameterState& state) const override;

 private:
  MuonOptions options_;
};

}  // namespace az::optim
