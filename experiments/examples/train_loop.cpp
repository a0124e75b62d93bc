// A training loop without JSON: ResNet-20 with SGDP on drawings of shapes. Expect a loss of about 4 that falls below 2
// in 40 steps. With `--cifar FOLDER` it trains on CIFAR-10 instead, one epoch.
#include <azimuth.h>

#include <cstdio>
#include <cstring>

using namespace az;

int main(int argc, char** argv) {
  const bool cifar = argc == 3 && std::strcmp(argv[1], "--cifar") == 0;
  auto set = cifar ? data::Dataset(data::Cifar10({.root = argv[2]})) : data::Dataset(data::Shapes({.count = 5120}));
  auto train = data::Loader(set, {.batch_size = 128, .shuffle = true});
  auto net = models::cifar_resnet({.depth = 20});
  auto sgdp = optim::Sgdp(net->parameters(), {.lr = 0.1, .momentum = 0.9, .weight_decay = 1e-4});
  double first = 0, last = 0;
  for (const auto& [images, labels] : train) {
    Tensor loss = cross_entropy((*net)(images), labels);
    sgdp.zero_grad();
    loss.backward();
    sgdp.step();
    last = loss.item();
    if (sgdp.steps() == 1) first = last;
    std::printf("step %3lld  loss %.4f\n", static_cast<long long>(sgdp.steps()), last);
  }
  return last < first && last < 2.0 ? 0 : 1;
}
