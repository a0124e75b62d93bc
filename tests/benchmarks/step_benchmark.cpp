// Time of what a training step is made of above the ops: forward, backward and update of whole networks, the update alone, a
// batch. Items are images, or parameters. Compare figures of one run with one another, not across runs.
#include <benchmark/benchmark.h>

#include "core/autograd/autograd.h"
#include "core/ops.h"
#include "data/loader.h"
#include "data/synthetic.h"
#include "nn/models/resnet.h"
#include "optim/adamp.h"
#include "optim/sgd.h"
#include "optim/sgdp.h"

using namespace az;

namespace {

nn::ModulePtr resnet20() { return models::cifar_resnet({.depth = 20, .shortcut = "B"}); }
nn::ModulePtr resnet18() { return models::resnet({.depth = 18}); }

void training_step(benchmark::State& state, nn::ModulePtr (*make)()) {
  const nn::ModulePtr net = make();
  optim::Sgd sgd(net->parameters(), {.lr = 1e-3, .momentum = 0.9, .nesterov = true, .weight_decay = 1e-4});
  const Tensor images = randn({state.range(0), 3, 32, 32}), labels = zeros({state.range(0)}, DType::i64);
  for (auto _ : state) {
    sgd.zero_grad();
    cross_entropy((*net)(images), labels).backward();
    sgd.step();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void evaluation(benchmark::State& state, nn::ModulePtr (*make)()) {
  const nn::ModulePtr net = make();
  net->eval();
  NoGrad no_grad;
  const Tensor images = randn({state.range(0), 3, 32, 32});
  for (auto _ : state) benchmark::DoNotOptimize((*net)(images).raw());
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

template <class Optimizer, class Options> void update(benchmark::State& state, const Options& options) {
  const nn::ModulePtr net = resnet18();
  for (const Parameter& parameter : net->parameters()) parameter.tensor.set_grad(randn(parameter.tensor.shape()));
  Optimizer optimizer(net->parameters(), options);
  for (auto _ : state) optimizer.step();
  state.SetItemsProcessed(state.iterations() * net->parameter_count());
}

void load(benchmark::State& state) {
  data::Loader loader(data::Shapes({.count = 1024}),
                      {.batch_size = 128, .shuffle = true, .augment = {data::random_crop(), data::horizontal_flip()}});
  auto at = loader.begin();
  for (auto _ : state) {
    if (!(at != data::Loader::End{})) at = loader.begin();
    benchmark::DoNotOptimize((*at).images.raw());
    ++at;
  }
  state.SetItemsProcessed(state.iterations() * 128);
}

void sgd_update(benchmark::State& state) { update<optim::Sgd>(state, optim::SgdOptions{.lr = 1e-3, .momentum = 0.9}); }
void sgdp_update(benchmark::State& state) { update<optim::Sgdp>(state, optim::SgdpOptions{.lr = 1e-3, .momentum = 0.9}); }
void adamp_update(benchmark::State& state) { update<optim::Adamp>(state, optim::AdampOptions{}); }

void in_milliseconds(benchmark::internal::Benchmark* benchmark) { benchmark->UseRealTime()->Unit(benchmark::kMillisecond); }

BENCHMARK_CAPTURE(training_step, resnet20, resnet20)->Arg(32)->Arg(128)->Apply(in_milliseconds);
BENCHMARK_CAPTURE(training_step, resnet18, resnet18)->Arg(16)->Apply(in_milliseconds);
BENCHMARK_CAPTURE(evaluation, resnet20, resnet20)->Arg(128)->Apply(in_milliseconds);
BENCHMARK_CAPTURE(evaluation, resnet18, resnet18)->Arg(16)->Apply(in_milliseconds);
BENCHMARK(sgd_update)->Apply(in_milliseconds);
BENCHMARK(sgdp_update)->Apply(in_milliseconds);
BENCHMARK(adamp_update)->Apply(in_milliseconds);
BENCHMARK(load)->Apply(in_milliseconds);

}  // namespace
