#include "experiments/report/norm_identity.h"

#include <cmath>

#include "experiments/report/run_data.h"

namespace az::experiments {
namespace {

// Whether a group changes what steps do to norms.
bool groups_interfere(const config::Value& config) {
  const config::Value& groups = value_at(config, "optimizer.groups");
  if (!groups.is_array()) return false;
  for (const config::Value& group : groups.as_array()) {
    if (number_at(group, "weight_decay", 0) > 0 || number_at(group, "trust_ratio", 0) > 0 ||
        number_at(group, "renormalize_every", 0) > 0)
      return true;
  }
  return false;
}

}  // namespace

NormRule norm_rule(const config::Value& config) {
  const std::string type = string_at(config, "optimizer.type");
  const bool projects = type == "sgdp" || type == "adamp";
  const config::Value& nesterov = value_at(config, "optimizer.nesterov");
  if (type.empty()) return {{}, "no prediction, as the run's optimizer is not known"};
  if (type != "sgd" && !projects) return {{}, "no prediction: the identity is of momentum, and this is " + type};
  if (number_at(config, "optimizer.weight_decay", 0) > 0 || groups_interfere(config))
    return {{}, "no prediction: the identity is of steps without weight decay, trust ratios or renormalizing"};
  if (string_at(config, "train.average.type") == "lookahead")
    return {{}, "no prediction, as lookahead moves the weights after a step"};
  if (projects) {
    if (string_at(config, "optimizer.projection") == "never") return {{}, "no prediction, as projection is \"never\""};
    return {0, type + ": a projected step is orthogonal to the weight and adds its squared length"};
  }
  if (nesterov.is_bool() && nesterov.as_bool())
    return {{}, "no prediction: the identity is of plain momentum, and this is Nesterov's"};
  return {number_at(config, "optimizer.momentum", 0), "momentum: each step adds its squared length, and that of its echoes"};
}

std::vector<double> predicted_norm_squared(const Table& layer, double beta) {
  const auto& norm = layer.columns.at("norm");
  const auto& rate = layer.columns.at("effective_lr");
  const auto& radial = layer.columns.at("radial");
  const auto& tangential = layer.columns.at("tangential");
  std::vector<double> predicted(layer.rows(), NAN);
  double squared = NAN, along = 0;
  for (size_t t = 0; t < layer.rows(); ++t) {
    if (layer.step[t] != double(t + 1)) break;
    if (t == 0) squared = norm[0] * norm[0];
    predicted[t] = squared;
    const double length = radial[t] * radial[t] + tangential[t] * tangential[t];
    squared += length;
    if (beta == 0) continue;
    const double lr = rate[t] * norm[t] * norm[t];  // of SGD, which alone has momentum here
    squared -= 2 * lr * along;
    along = beta * (along - (lr > 0 ? length / lr : 0));
  }
  return predicted;
}

}  // namespace az::experiments
