#include "optim/average.h"

#include <algorithm>
#include <cmath>

#include "core/autograd/autograd.h"
#include "core/base/error.h"
#include "core/ops/elementwise.h"

namespace az::optim {

template <class Options> WeightAverage::WeightAverage(const Options& o, bool write_back, const Tensors& weights)
    : decay_(o.decay), every_(o.every), power_(o.power), write_back_(write_back) {
  for (const auto& [name, weight] : weights) {
    if (!is_float(weight.dtype())) continue;
    weights_.emplace(name, weight);
    averages_.emplace(name, weight.detach().clone());
  }
}

WeightAverage::WeightAverage(const EmaOptions& options, const Tensors& weights)
    : WeightAverage(config::checked("ema", options), false, weights) {}

WeightAverage::WeightAverage(const LookaheadOptions& options, const Tensors& weights)
    : WeightAverage(config::checked("lookahead", options), true, weights) {}

std::vector<std::string> WeightAverage::examine(const Length& length) const {
  if (every_ > length.steps)
    return {
        fmt::format("every: the weights would enter the average after {} steps, and the training has {}: what is evaluated are "
                    "the weights of before it",
                    every_, length.steps)};
  // The product of what the n updates keep: the share that the weights of before the training have in the end.
  const double n = double(length.steps / every_);
  const double shares = std::lgamma(n + 1) + n * std::log(double(every_) / double(length.steps));
  const double first = std::exp(n * std::log(decay_) + power_ * shares);
  if (write_back_ || first <= 0.5) return {};
  return {
      fmt::format("decay: {:.0f} % of what is evaluated in the end are the weights of before the training, which has {} steps",
                  100 * first, length.steps)};
}

void WeightAverage::update(const Moment& moment) {
  const int64_t done = moment.step + 1;
  if (done % every_ != 0) return;
  const double share = std::min(1.0, double(done) / double(moment.total_steps));
  const double d = decay_ * std::pow(share, power_);
  NoGrad no_grad;
  for (const auto& [name, average] : averages_) {
    const Tensor& weight = weights_.at(name);
    // Starts from the nearer of the two: a weight that equals its average leaves it as it is, to the bit.
    const Tensor difference = weight - average;
    if (d < 0.5) average.copy_(weight);
    average.add_(difference, d < 0.5 ? -d : 1 - d);
    if (write_back_) weight.copy_(average);
  }
}

void WeightAverage::swap() {
  NoGrad no_grad;
  for (const auto& [name, average] : averages_) {
    const Tensor& weight = weights_.at(name);
    const Tensor held = weight.clone();
    weight.copy_(average);
    average.copy_(held);
  }
}

void WeightAverage::load_state(const Tensors& state) {
  for (const auto& [name, average] : averages_) {
    const auto found = state.find(name);
    if (found == state.end() || found->second.shape() != average.shape())
      fail("weight average: the saved state has no \"{}\" of {}; it is of another model", name, average.shape().str());
  }
  if (state.size() != averages_.size())
    fail("weight average: the saved state has {} tensors, the model {}; it is of another model", state.size(),
         averages_.size());
  for (const auto& [name, average] : averages_) average.copy_(state.at(name));
}

}  // namespace az::optim
