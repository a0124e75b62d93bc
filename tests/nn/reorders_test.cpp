// How often a step reorders tensors, once primitives and packed weights are there.
#include <doctest/doctest.h>

#include "core/autograd/autograd.h"
#include "core/backend/info.h"
#include "core/backend/reorder.h"
#include "core/base/random.h"
#include "core/ops/loss.h"
#include "core/tensor/create.h"
#include "nn/models/resnet.h"

using namespace az;

namespace {

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

// Of each convolution the packed weight and the plain gradient of it; the weight packed once more for the gradient of the
// input, where that takes another form than the value (without AVX-512: everywhere but in the first); and the average pool's
// [n,c,1,1] there and back, as the last layer is row-major. That one is all that evaluation reorders.
TEST_CASE(
    "a step reorders weights, once a use, their gradients, and what is pooled before the last layer: no other activation") {
  const std::string isa = backend_info().onednn_isa;
  // Elsewhere oneDNN's kernels do not all lie alike, and about twice as many are reordered.
  if (!isa.starts_with("AVX") && isa != "SVE of 512 bits") {
    MESSAGE("skipped: reorders are not bounded with " << isa);
    return;
  }
  struct Case {
    nn::ModulePtr net;
    int64_t convolutions, packed_again;
  };
  const Case cases[] = {{models::cifar_resnet({.depth = 20, .shortcut = "B"}), 21, 10},
                        {models::cifar_resnet({.depth = 20, .shortcut = "A"}), 19, 8},
                        {models::resnet({.depth = 18, .width = 16}), 20, 10}};
  for (const Case& c : cases) {
    CAPTURE(c.convolutions);
    const Reorders found = of_steps(*c.net);
    const int64_t packed_again = isa.starts_with("AVX-512") ? c.packed_again : c.convolutions - 1;
    CHECK(found.training <= 2 * c.convolutions + packed_again + 2);
    CHECK(found.evaluation <= 1);
  }
}
