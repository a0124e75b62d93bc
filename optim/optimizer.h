#pragma once

#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/config/made.h"
#include "core/tensor/parameter.h"
#include "optim/groups.h"
#include "optim/norm_identity.h"
#include "optim/update_info.h"

namespace az::optim {

// What an optimizer remembers about one parameter.
struct ParameterState {
  int64_t step = 0;             // updates made, the current one included
  std::vector<Tensor> tensors;  // one a slot, shaped like the parameter, zero before the first update
  double start_norm = NAN;      // of the parameter before its first update, where its group renormalizes it
};

// Owns the groups, the step counts and the state of a list of parameters; a subclass says how one parameter moves.
class Optimizer : public config::Made {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // Moves every parameter that has a gradient as it begins; the others, such as frozen ones, are skipped. Never changes a
  // gradient.
  void step(StepObserver* observer = nullptr);
  // Forgets all gradients. Without it, further backward passes add to them.
  void zero_grad();

  double lr() const { return lr_; }
  // The rates of optimizers that groups name keep their proportion to it. Throws unless it is a finite number of 0 or more.
  void set_lr(double lr);
  // The weight decay of parameters for which no group gives another.
  double weight_decay() const { return weight_decay_; }
  int64_t steps() const { return steps_; }
  // What is odd about its options, each as "option: sentence".
  virtual std::vector<std::string> examine() const { return {}; }
  // The same, with what is odd about the optimizers that groups name: "groups.0.optimizer.option: sentence".
  std::vector<std::string> examine_all() const;
  // How the norm of a scale-invariant weight follows from its steps, with all that its groups ask for.
  NormRule norm_rule() const;
  const std::vector<Parameter>& parameters() const { return parameters_; }

  // "steps", and for each parameter "steps/NAME" (i64 scalars) and its tensors ("momentum/NAME"), sharing memory with the
  // optimizer. The learning rate is the schedule's to know.
  std::map<std::string, Tensor> state() const;
  // Copies such a state in, so that training continues bit for bit. Throws, changing nothing, when a name or shape does not
  // fit.
  void load_state(const std::map<std::string, Tensor>& state);

 protected:
  // `name` is for messages; `slots` names the tensors kept for each parameter: no two alike, without slashes, none "steps" or
  // "start_norm". Parameters are f32 or f64. `check` is called for each that this optimizer is to move itself, and throws for
  // one that it cannot, or not as the group asks: here for what needs a gradient, for the rest before its first update. Those
  // whose group says so are frozen once all is found right; where it is not, this throws and no parameter has changed.
  using Check = std::function<void(const Parameter&, const Group&)>;
  template <class Options> Optimizer(const char* name, std::vector<Parameter> parameters, const Options& options,
                                     std::vector<std::string> slots, Check check = {})
      : Optimizer(name, std::move(parameters), config::checked(name, options).lr, options.weight_decay, options.groups,
                  std::move(slots), std::move(check)) {}
  // Does the same with options given one by one. Throws ConfigError where one of their numbers is negative or not finite.
  Optimizer(const char* name, std::vector<Parameter> parameters, double lr, double weight_decay,
            const std::vector<GroupOptions>& groups, std::vector<std::string> slots, Check check = {});

  // Moves one parameter by the group's rate, and decay in proportion to it. An update that ignores Group::step_only changes the
  // weight as usual.
  // It is an error to write to the gradient, or to leave other tensors of state than one a slot, shaped like the parameter.
  virtual UpdateInfo update(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state) = 0;
  // What UpdateInfo::equilibrium_angle becomes, after the update that `info` tells of.
  virtual double equilibrium_angle(const Group&, const UpdateInfo& /*info*/) const { return NAN; }
  // What UpdateInfo::effective becomes, after an update that is watched, before the group's trust ratio counts.
  virtual EffectiveRate effective_rate(const Parameter&, const Group&, const ParameterState&) const { return {}; }
  // What norm_rule() becomes where no group decays, scales or renormalizes a parameter; none where nothing is known.
  virtual std::optional<NormRule> own_norm_rule() const { return {}; }

 private:
  void check_parameters() const;
  // Throws where the i-th parameter is one that its mover cannot move.
  void check_mover(size_t i) const;
  void check_state_names() const;
  // Moves one parameter, which may be another optimizer's whose groups name this one, and its state.
  void update_one(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state,
                  StepObserver* observer);
  void check_update(const Parameter& now, const Parameter& before, const Tensor& gradient, const ParameterState& state,
                    int64_t step) const;
  // Fills in what the optimizer itself knows of an update.
  void complete(UpdateInfo& info, const Group& group, const ParameterState& state) const;
  // update(), and what the group asks for beyond it.
  UpdateInfo move(Parameter& parameter, const Tensor& gradient, const Group& group, ParameterState& state, bool watched);
  // Does what move() does, under a trust ratio, without renormalizing.
  UpdateInfo update_by_trust_ratio(const Parameter& parameter, const Tensor& gradient, const Group& group,
                                   ParameterState& state, bool watched);

  std::string name_;
  std::vector<Parameter> parameters_;
  double start_lr_, lr_;
  double weight_decay_;
  std::vector<std::string> slots_;
  Check check_;
  std::vector<Group> groups_;                            // one a parameter, as is what follows
  std::vector<Optimizer*> movers_;                       // this one, or another that a group names
  std::vector<ParameterState> states_;                   // with the slots of the mover
  std::map<size_t, std::unique_ptr<Optimizer>> others_;  // which groups name, by the index of the group
  int64_t steps_ = 0;
};

}  // namespace az::optim
