// A training loop without JSON: ResNet-20 with SGDP on drawings of shapes. Expect a loss of about 4 that falls to
// about 2 in 60 steps; guessing costs ln 10 = 2.3. With `--cifar FOLDER` it trains on CIFAR-10 instead, one epoch.
#include <azimuth.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

using namespace az;

int main(int argc, char** argv) {
  const bool cifar = argc == 3 && std::strcmp(argv[1], "--cifar") == 0;
  auto set = cifar ? data::Dataset(data::Cifar10({.root = argv[2]})) : data::Dataset(data::Shapes({.count = 7680}));
  auto train = data::Loader(set, {.batch_size = 128, .shuffle = true});
  auto net = models::cifar_resnet({.depth = 20});
  auto sgdp = optim::Sgdp(net->parameters(), {.lr = 0.1, .momentum = 0.9, .weight_decay = 1e-4});
  double mean = 0;  // of about the last ten losses
  for (const auto& [images, labels] : train) {
    Tensor loss = cross_entropy((*net)(images), labels);
    sgdp.zero_grad();
    loss.backward();
    sgdp.step();
    mean += (loss.item() - mean) / double(std::min<int64_t>(sgdp.steps(), 10));
    std::printf("step %3lld  loss %.4f  mean %.4f\n", static_cast<long long>(sgdp.steps()), loss.item(), mean);
  }
  return mean > 0 && mean < 2.2 ? 0 : 1;
}
