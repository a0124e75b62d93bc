#include "optim/builtin.h"

#include "optim/adam.h"
#include "optim/adamp.h"
#include "optim/muon.h"
#include "optim/sgd.h"
#include "optim/sgdp.h"

namespace az::optim {
namespace {

template <class Made, class Options> void add_optimizer(const char* name, const char* description) {
  OptimizerRegistry::add<Options>(
      name, description, [](const Options& options, const std::vector<Parameter>& parameters) -> std::unique_ptr<Optimizer> {
        return std::make_unique<Made>(parameters, options);
      });
}

template <class Options> void add_schedule(const char* name, const char* description) {
  ScheduleRegistry::add<Options>(name, description, [](const Options& options) -> Schedule {
    return {[options](const Moment& moment) { return lr_factor(options, moment); },
            [options](const Length& length) { return oddities(options, length); }};
  });
}

template <class Options> void add_average(const char* name, const char* description) {
  AverageRegistry::add<Options>(name, description, [](const Options& options, const WeightAverage::Tensors& weights) {
    return std::make_unique<WeightAverage>(options, weights);
  });
}

}  // namespace

void OptimizerRegistry::register_builtin() { register_builtin_optimizers(); }
void register_builtin_optimizers() {
  static const bool once = [] {
    const config::BuiltIn built_in;
    add_optimizer<Sgd, SgdOptions>("sgd", "stochastic gradient descent, as PyTorch's");
    add_optimizer<Sgdp, SgdpOptions>("sgdp", "SGD that projects away growth of scale-invariant weights");
    add_optimizer<Adam, AdamOptions>("adam", "Adam with an L2 penalty, as PyTorch's");
    add_optimizer<AdamW, AdamWOptions>("adamw", "Adam with decoupled weight decay, as PyTorch's");
    add_optimizer<Adamp, AdampOptions>("adamp", "AdamW that projects away growth of scale-invariant weights");
    add_optimizer<Muon, MuonOptions>("muon",
                                     "momentum made orthogonal, for matrices and filters; groups give the rest to others");
    return true;
  }();
  static_cast<void>(once);
}

void ScheduleRegistry::register_builtin() { register_builtin_schedules(); }
void register_builtin_schedules() {
  static const bool once = [] {
    const config::BuiltIn built_in;
    add_schedule<ConstantSchedule>("constant", "the same rate throughout");
    add_schedule<StepSchedule>("step", "drops every so many epochs");
    add_schedule<MultistepSchedule>("multistep", "drops at given epochs");
    add_schedule<CosineSchedule>("cosine", "half a cosine down to min_factor");
    add_schedule<PolynomialSchedule>("polynomial", "(1 - share done)^power");
    add_schedule<ExponentialSchedule>("exponential", "the same factor every epoch");
    add_schedule<OneCycleSchedule>("one_cycle",
                                   "up to lr, then far down, as PyTorch's OneCycleLR; a warm-up takes the place of its rise");
    return true;
  }();
  static_cast<void>(once);
}

void AverageRegistry::register_builtin() { register_builtin_averages(); }
void register_builtin_averages() {
  static const bool once = [] {
    const config::BuiltIn built_in;
    add_average<EmaOptions>("ema", "exponential moving average beside the weights, for evaluation");
    add_average<LookaheadOptions>("lookahead", "average from which the weights go on (Zhang et al. 2019)");
    return true;
  }();
  static_cast<void>(once);
}

}  // namespace az::optim
