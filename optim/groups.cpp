#include "optim/groups.h"

#include <fnmatch.h>

#include <algorithm>

#include "core/base/error.h"
#include "optim/optimizer.h"

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

void GroupOptions::validate() const {
  const config::Value options = optimizer ? optimizer->to_value() : config::Value();
  const config::Value* own = options.is_object() ? options.find("groups") : nullptr;
  if (own && own->is_array() && !own->as_array().empty())
    config::invalid_option("optimizer", "has groups of its own; write them behind this group, among the groups it belongs to");
}

Resolved resolve_groups(const std::vector<Parameter>& parameters, const std::vector<GroupOptions>& groups,
                        double weight_decay) {
  const size_t count = parameters.size();
  std::vector<Group> resolved(count, Group{.lr = 1});
  std::vector<std::optional<double>> decays(count);  // as groups state them
  std::vector<std::optional<size_t>> given(count);   // to the optimizer of that group
  for (size_t i = 0; i < groups.size(); ++i) {
    const GroupOptions& group = groups[i];
    bool matched = false;
    for (size_t j = 0; j < count; ++j) {
      if (!selects(group, parameters[j])) continue;
      matched = true;
      if (group.optimizer) given[j] = i, resolved[j].lr = 1, decays[j].reset();
      if (group.weight_decay) decays[j] = group.weight_decay;
      if (group.lr_factor) resolved[j].lr = *group.lr_factor;
      if (group.frozen) resolved[j].frozen = *group.frozen;
      if (group.trust_ratio) resolved[j].trust_ratio = *group.trust_ratio;
      if (group.renormalize_every) resolved[j].renormalize_every = *group.renormalize_every;
    }
    if (matched) continue;
    std::string example = parameters.empty() ? "" : fmt::format(" (the first is \"{}\")", parameters[0].name);
    throw ConfigError(fmt::format("groups[{}]: none of the {} parameters{} fits{}; correct it or remove it", i, count, example,
                                  selectors(group)));
  }
  const auto stays = [](const Group& group) { return group.frozen || group.lr == 0; };
  if (!resolved.empty() && std::all_of(resolved.begin(), resolved.end(), stays)) {
    const bool all_frozen = std::all_of(resolved.begin(), resolved.end(), [](const Group& group) { return group.frozen; });
    throw ConfigError(fmt::format("groups freeze all {} parameters{}; leave some to train", count,
                                  all_frozen ? "" : ", by \"frozen\" or by an lr_factor of 0"));
  }
  const auto last = std::max_element(given.begin(), given.end());
  bool has_own = last == given.end() || !*last;
  for (size_t j = 0; j < count; ++j) has_own = has_own || (!given[j] && !stays(resolved[j]));
  if (!has_own) {
    throw ConfigError(fmt::format(
        "groups give all that they do not freeze to optimizers of their own, and leave this one nothing to move; put the "
        "optimizer of groups[{}] in its place and remove it from there",
        **last));
  }
  Resolved result{std::move(resolved), {}, std::vector<Optimizer*>(count)};
  for (size_t i = 0; i < groups.size(); ++i) {
    if (!groups[i].optimizer) continue;
    std::vector<Parameter> list;
    for (size_t j = 0; j < count; ++j) {
      if (given[j] == i && !result.groups[j].frozen) list.push_back(parameters[j]);
    }
    if (list.empty()) {
      throw ConfigError(fmt::format(
          "groups[{}]: its optimizer has nothing to move, as groups freeze all of it or give it to others; remove it", i));
    }
    const auto& other = result.others[i] = groups[i].optimizer->create(list);
    for (size_t j = 0; j < count; ++j) {
      if (given[j] == i) result.movers[j] = other.get();  // of one that is frozen once it is thawed
    }
  }
  for (size_t j = 0; j < count; ++j) {
    const Optimizer* mover = result.movers[j];
    result.groups[j].weight_decay = decays[j].value_or(mover ? mover->weight_decay() : weight_decay);
  }
  return result;
}

}  // namespace az::optim
