#include "optim/groups.h"

#include <fnmatch.h>

#include <algorithm>

#include "core/base/error.h"

namespace az::optim {
namespace {

struct CommonOptions {
  double lr = 0, weight_decay = 0;
  std::vector<GroupOptions> groups = {};
  static void fields(auto& f) {
    f("lr", &CommonOptions::lr, "learning rate", config::at_least(0));
    f("weight_decay", &CommonOptions::weight_decay, "pull of weights towards 0", config::at_least(0));
    f("groups", &CommonOptions::groups, "options that differ for some parameters");
  }
};

bool selects(const GroupOptions& group, const Parameter& parameter) {
  if (group.kind && *group.kind != name_of(parameter.kind)) return false;
  if (group.dims && *group.dims != parameter.tensor.rank()) return false;
  return !group.pattern || fnmatch(group.pattern->c_str(), parameter.name.c_str(), 0) == 0;
}

std::string selectors(const GroupOptions& group) {
  std::string text;
  if (group.kind) text += fmt::format(" kind \"{}\"", *group.kind);
  if (group.dims) text += fmt::format(" dims {}", *group.dims);
  if (group.pattern) text += fmt::format(" pattern \"{}\"", *group.pattern);
  return text;
}

}  // namespace

double checked_lr(const std::string& name, double lr, double weight_decay, const std::vector<GroupOptions>& groups) {
  return config::checked(name, CommonOptions{lr, weight_decay, groups}).lr;
}

std::vector<Group> resolve_groups(const std::vector<Parameter>& parameters, const std::vector<GroupOptions>& groups,
                                  double weight_decay) {
  std::vector<Group> resolved(parameters.size(), Group{.lr = 1, .weight_decay = weight_decay});
  for (size_t i = 0; i < groups.size(); ++i) {
    const GroupOptions& group = groups[i];
    bool matched = false;
    for (size_t j = 0; j < parameters.size(); ++j) {
      if (!selects(group, parameters[j])) continue;
      matched = true;
      if (group.weight_decay) resolved[j].weight_decay = *group.weight_decay;
      if (group.lr_factor) resolved[j].lr = *group.lr_factor;
      if (group.frozen) resolved[j].frozen = *group.frozen;
      if (group.trust_ratio) resolved[j].trust_ratio = *group.trust_ratio;
      if (group.renormalize_every) resolved[j].renormalize_every = *group.renormalize_every;
    }
    if (matched) continue;
    std::string example = parameters.empty() ? "" : fmt::format(" (the first is \"{}\")", parameters[0].name);
    throw ConfigError(fmt::format("groups[{}]: none of the {} parameters{} fits{}; correct it or remove it", i,
                                  parameters.size(), example, selectors(group)));
  }
  const auto stays = [](const Group& group) { return group.frozen || group.lr == 0; };
  if (!resolved.empty() && std::all_of(resolved.begin(), resolved.end(), stays)) {
    const bool all_frozen = std::all_of(resolved.begin(), resolved.end(), [](const Group& group) { return group.frozen; });
    throw ConfigError(fmt::format("groups freeze all {} parameters{}; leave some to train", parameters.size(),
                                  all_frozen ? "" : ", by \"frozen\" or by an lr_factor of 0"));
  }
  return resolved;
}

}  // namespace az::optim
