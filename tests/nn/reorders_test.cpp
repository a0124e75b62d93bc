// How often a step reorders tensors, once primitives and packed weights are there.
#include <doctest/doctest.h>

#include "core/autograd.h"
#include "core/backend/info.h"
#include "core/backend/layout.h"
#include "core/ops/create.h"
#include "core/ops/loss.h"
#include "core/random.h"
#include "nn/models/resnet.h"

using namespace az;

namespace {

// Convolutions, all of whose weights are packed forward and, but for the first, to the gradient of their input.
int64_t convolutions(const nn::Module& net) {
  const auto parameters = net.parameters();
  return std::count_if(parameters.begin(), parameters.end(), [](const Parameter& p) { return p.tensor.rank() == 4; });
}

struct Reorders {
  int64_t training, evaluation;
};

Reorders of_steps(nn::Module& net) {
  seed_random(1);
  const Tensor images = randn({8, 3, 32, 32}), labels = Tensor::of<int64_t>({8}, {0, 1, 2, 3, 4, 5, 6, 7});
  auto train = [&] {
    net.train();
    for (const Parameter& p : net.parameters()) p.tensor.zero_grad();
    cross_entropy(net(images), labels).backward();
    NoGrad no_grad;
    for (const Parameter& p : net.parameters()) p.tensor.add_(p.tensor.grad(), -1e-3);
  };
  auto evaluate = [&] {
    net.eval();
    NoGrad no_grad;
    net(images);
  };
  auto reorders_of = [](auto step, int warm_up) {
    for (int i = 0; i < warm_up; ++i) step();
    const uint64_t before = reorder_count();
    step();
    return int64_t(reorder_count() - before);
  };
  return {reorders_of(train, 2), reorders_of(evaluate, 1)};
}

}  // namespace

TEST_CASE("a step reorders weights, once a use, their gradients, and at most the images: no activation") {
  for (int kind = 0; kind < 3; ++kind) {
    CAPTURE(kind);
    const nn::ModulePtr net = kind == 2 ? models::resnet({.depth = 18, .width = 16})
                                        : models::cifar_resnet({.depth = 20, .shortcut = kind ? "A" : "B"});
    const Reorders found = of_steps(*net);
    CHECK(found.training <= 3 * convolutions(*net) + 1);
    CHECK(found.evaluation <= 1);
  }
}
