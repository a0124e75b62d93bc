#include "experiments/report/norm_identity.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "core/base/error.h"
#include "core/tensor/create.h"
#include "experiments/report/run_data.h"
#include "optim/average.h"
#include "optim/builtin.h"

namespace az::experiments {
namespace {

using optim::NormRule;

// The greatest of what the groups of a config ask for, for one parameter.
optim::GroupOptions greatest(const config::Value& groups) {
  optim::GroupOptions all{.pattern = "*", .weight_decay = 0, .trust_ratio = 0, .renormalize_every = 0};
  if (!groups.is_array()) return all;
  for (const auto& group : config::parse<std::vector<optim::GroupOptions>>(groups)) {
    all.weight_decay = std::max(*all.weight_decay, group.weight_decay.value_or(0));
    all.trust_ratio = std::max(*all.trust_ratio, group.trust_ratio.value_or(0));
    all.renormalize_every = std::max(*all.renormalize_every, group.renormalize_every.value_or(0));
  }
  return all;
}

// Makes the optimizer of a config for one number.
std::unique_ptr<optim::Optimizer> made_for_one(config::Value options) {
  optim::GroupOptions group = greatest(value_at(options, "groups"));
  if (*group.weight_decay == 0) group.weight_decay.reset();  // what the optimizer says for all counts
  options["groups"] = config::Value::Array{config::to_value(group)};
  if (!options.find("lr")) options["lr"] = 1.0;  // no rule depends on it
  const auto optimizer = config::parse<config::Component<optim::OptimizerRegistry>>(options);
  return optimizer.create(std::vector<Parameter>{{"w", full({1, 1}, 1)}});
}

}  // namespace

NormRule norm_rule(const config::Value& config) {
  optim::register_builtin_optimizers();
  optim::register_builtin_averages();
  const std::string type = string_at(config, "optimizer.type");
  const NormRule unknown{{}, "no prediction, as the run's optimizer is not known"};
  if (type.empty()) return unknown;
  if (!optim::OptimizerRegistry::base().find(type))
    return {{}, "no prediction: the identity is of momentum, and this is " + type};
  try {
    std::unique_ptr<optim::WeightAverage> average;
    if (const config::Value& given = value_at(config, "train.average"); given.is_object())
      average = config::parse<config::Component<optim::AverageRegistry>>(given).create(optim::WeightAverage::Tensors());
    return optim::norm_rule(*made_for_one(value_at(config, "optimizer")),
                            {.average = average.get(), .clips_values = value_at(config, "train.clip_value").is_number()});
  } catch (const Error&) {
    return unknown;
  }
}

std::vector<double> predicted_norm_squared(const Table& layer, double beta) {
  const auto& norm = layer.columns.at("norm");
  const auto& rate = layer.columns.at("effective_lr");
  const auto& norm_power = layer.columns.at("norm_power");
  const auto& radial = layer.columns.at("radial");
  const auto& tangential = layer.columns.at("tangential");
  std::vector<double> predicted(layer.rows(), NAN);
  if (layer.rows() < 2 || layer.step[0] != 1 || layer.step[1] != 2) return predicted;
  optim::NormIdentity identity({.squared_norm = norm[0] * norm[0], .beta = beta});
  for (size_t t = 0; t < layer.rows() && layer.step[t] == double(t + 1); ++t) {
    predicted[t] = identity.squared_norm();
    // The rate is lr / ||w||^power. Folders of older versions do not have the power, and are of SGD.
    const double power = std::isnan(norm_power[t]) ? 2 : norm_power[t];
    identity.add(
        {.squared_length = radial[t] * radial[t] + tangential[t] * tangential[t], .lr = rate[t] * std::pow(norm[t], power)});
  }
  if (std::isnan(predicted[1])) predicted[0] = NAN;
  return predicted;
}

}  // namespace az::experiments
