#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "optim/registry.h"

namespace az::optim {

// Changes options for the parameters that fit every selector given (kind, dims, pattern). Groups apply in order: for each
// option, a parameter takes the last group that selects it and states that option. One that names an optimizer states rate and
// decay with it, the optimizer's own, so that a factor or decay counts only if stated there or after. In C++:
//   Muon(parameters, {.lr = 0.02, .groups = {{.dims = 1, .optimizer = SgdOptions{.lr = 0.1, .momentum = 0.9}}}})
struct GroupOptions {
  std::optional<std::string> kind = {};     // "weight", "bias" or "norm"
  std::optional<int64_t> dims = {};         // number of dimensions
  std::optional<std::string> pattern = {};  // of the whole name, as a shell matches files: "fc.*"
  std::optional<double> weight_decay = {};
  std::optional<double> lr_factor = {};
  std::optional<bool> frozen = {};
  std::optional<double> trust_ratio = {};
  std::optional<int64_t> renormalize_every = {};
  std::optional<config::Component<OptimizerRegistry>> optimizer = {};

  static void fields(auto& f) {
    f("kind", &GroupOptions::kind, "selects by what the parameter does", config::one_of({"weight", "bias", "norm"}));
    f("dims", &GroupOptions::dims, "selects by number of dimensions", config::at_least(0));
    f("pattern", &GroupOptions::pattern, "selects by name, with * and ? (\"fc.*\")");
    f("weight_decay", &GroupOptions::weight_decay, "weight decay of these parameters", config::at_least(0));
    f("lr_factor", &GroupOptions::lr_factor, "multiplies the learning rate of these parameters", config::at_least(0));
    f("frozen", &GroupOptions::frozen, "keeps these parameters as they are: no gradient, no update");
    f("trust_ratio", &GroupOptions::trust_ratio,
      "each step of a parameter, decay included, is made lr * trust_ratio * its norm long: LAMB with adamw, in LARS's manner "
      "with sgd; 0: it keeps its length",
      config::at_least(0));
    f("renormalize_every", &GroupOptions::renormalize_every,
      "after every so many steps a parameter is scaled back to the norm it had before the first; 0: never",
      config::at_least(0));
    f("optimizer", &GroupOptions::optimizer,
      "moves these parameters instead, by its own lr, in step with the schedule, and its own weight_decay; an lr_factor or "
      "weight_decay of earlier groups counts no more");
    f.some_of({"kind", "dims", "pattern"}, "selects by nothing; give it a kind, dims or pattern");
    f.some_of({"weight_decay", "lr_factor", "frozen", "trust_ratio", "renormalize_every", "optimizer"},
              "changes nothing; give it a weight_decay, lr_factor, trust_ratio, renormalize_every, optimizer or \"frozen\": "
              "true");
  }
  // Throws where the optimizer has groups of its own.
  void validate() const;
};

// What holds for one parameter.
struct Group {
  double lr = 0;  // lr_factor once resolved; the learning rate itself when handed to an update
  double weight_decay = 0;
  bool frozen = false;
  double trust_ratio = 0;         // 0: steps keep their length
  int64_t renormalize_every = 0;  // 0: never
  // For one update under a trust ratio: the step is to replace the weight (0 - step for weight - step), so that no bit of it is
  // lost to a large weight.
  bool step_only = false;
};

// `lr`. Throws ConfigError where it, the decay or a group of the optimizer `name` breaks the rules that JSON is held to.
double checked_lr(const std::string& name, double lr, double weight_decay, const std::vector<GroupOptions>& groups);

// What groups make of a list of parameters.
struct Resolved {
  std::vector<Group> groups;                            // one a parameter
  std::map<size_t, std::unique_ptr<Optimizer>> others;  // that groups name, by the index of the group
  std::vector<Optimizer*> movers;                       // one a parameter; nullptr: none of those
};

// Throws ConfigError on a group that selects nothing, on one whose optimizer is left nothing to move, where all that move are
// such optimizers', and where none is left to train.
Resolved resolve_groups(const std::vector<Parameter>& parameters, const std::vector<GroupOptions>& groups, double weight_decay);

}  // namespace az::optim
