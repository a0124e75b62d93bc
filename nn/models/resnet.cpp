#include "nn/models/resnet.h"

#include <fmt/format.h>

#include "core/ops/pool.h"
#include "nn/layers/batch_norm.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/linear.h"
#include "nn/layers/sequential.h"

namespace az::models {

namespace {

using nn::BatchNorm2d;
using nn::Conv2d;

struct Plan {
  std::vector<int64_t> blocks;  // of each stage
  int64_t width = 0, classes = 0;
  bool bottleneck = false, imagenet_stem = false, pad_shortcut = false, zero_gamma = false;
  std::string conv_init, fc_init;
};

struct Window {
  int64_t kernel, stride;
};

Conv2d conv(int64_t in, int64_t out, Window window, const Plan& plan) {
  return Conv2d(in, {.out_channels = out,
                     .kernel = window.kernel,
                     .stride = window.stride,
                     .padding = window.kernel / 2,
                     .bias = false,
                     .init = plan.conv_init});
}

struct BlockSizes {
  int64_t in, planes, stride;
};

// A convolution and the batch norm behind it.
struct NormedConv {
  nn::Child<Conv2d> conv;
  nn::Child<BatchNorm2d> norm;
};

// relu(body(x) + shortcut(x)), where body is two 3x3 convolutions, or 1x1, 3x3 and 1x1 to four times the planes.
class Block : public nn::Layer<Block> {
 public:
  Block(const BlockSizes& s, const Plan& plan) : stride_(s.stride), out_(plan.bottleneck ? 4 * s.planes : s.planes) {
    const nn::BatchNormOptions last{.zero_gamma = plan.zero_gamma};
    const auto add = [&](const std::string& number, Conv2d conv, BatchNorm2d norm) {
      body_.push_back({add_child("conv" + number, std::move(conv)), add_child("bn" + number, std::move(norm))});
    };
    add("1", conv(s.in, s.planes, plan.bottleneck ? Window{1, 1} : Window{3, s.stride}, plan), BatchNorm2d(s.planes));
    add("2", conv(s.planes, s.planes, {3, plan.bottleneck ? s.stride : 1}, plan),
        plan.bottleneck ? BatchNorm2d(s.planes) : BatchNorm2d(out_, last));
    if (plan.bottleneck) add("3", conv(s.planes, out_, {1, 1}, plan), BatchNorm2d(out_, last));
    changes_ = s.stride != 1 || s.in != out_;
    if (changes_ && !plan.pad_shortcut)
      downsample_ = add_child("downsample", nn::Sequential(conv(s.in, out_, {1, s.stride}, plan), BatchNorm2d(out_)));
  }

  int64_t out_channels() const { return out_; }

 protected:
  Tensor forward(const Tensor& x) override {
    Tensor y = x;
    for (size_t i = 0; i < body_.size(); ++i) {
      const bool last = i + 1 == body_.size();
      const Then then{.residual = last ? shortcut(x) : Tensor(), .relu = true};
      y = child(body_[i].conv).then_norm(y, child(body_[i].norm), then).result;
    }
    return y;
  }

 private:
  Tensor shortcut(const Tensor& x) {
    if (downsample_) return child(downsample_)(x);
    return changes_ ? subsample_pad(x, {.stride = stride_, .channels = out_}) : x;
  }

  std::vector<NormedConv> body_;
  nn::Child<nn::Sequential> downsample_;
  int64_t stride_, out_;
  bool changes_ = false;
};

// Stem, stages "layer1" ... of blocks, each but the first halving the image, mean over the image, fc.
class ResNet : public nn::Layer<ResNet> {
 public:
  ResNet(int64_t in_channels, const Plan& plan) : imagenet_stem_(plan.imagenet_stem) {
    stem_ = {add_child("conv1", conv(in_channels, plan.width, plan.imagenet_stem ? Window{7, 2} : Window{3, 1}, plan)),
             add_child("bn1", BatchNorm2d(plan.width))};
    int64_t channels = plan.width;
    for (size_t stage = 0; stage < plan.blocks.size(); ++stage) {
      nn::Sequential blocks;
      for (int64_t i = 0; i < plan.blocks[stage]; ++i) {
        BlockSizes sizes{.in = channels, .planes = plan.width << stage, .stride = stage > 0 && i == 0 ? 2 : 1};
        auto block = std::make_unique<Block>(sizes, plan);
        channels = block->out_channels();
        blocks.append(std::move(block));
      }
      stages_.push_back(add_child("layer" + std::to_string(stage + 1), std::move(blocks)));
    }
    fc_ = add_child("fc", nn::Linear(channels, {.out_features = plan.classes, .init = plan.fc_init}));
  }

 protected:
  Tensor forward(const Tensor& x) override {
    Tensor y = child(stem_.conv).then_norm(x, child(stem_.norm), {.relu = true}).result;
    if (imagenet_stem_) y = max_pool2d(y, {.kernel = 3, .stride = 2, .padding = 1});
    for (const auto& stage : stages_) y = child(stage)(y);
    return child(fc_)(global_avg_pool(y));
  }

 private:
  bool imagenet_stem_;
  NormedConv stem_;
  std::vector<nn::Child<nn::Sequential>> stages_;
  nn::Child<nn::Linear> fc_;
};

int64_t image_channels(const Shape& input) {
  if (input.rank() != 4) fail("resnet: takes images [n,c,h,w], got {}", input.str());
  return input[1];
}

}  // namespace

nn::ModulePtr cifar_resnet(const CifarResnetOptions& given, const Shape& input, int64_t classes) {
  const auto options = config::checked("cifar_resnet", given);
  return std::make_unique<ResNet>(image_channels(input), Plan{.blocks = std::vector<int64_t>(3, (options.depth - 2) / 6),
                                                              .width = options.width,
                                                              .classes = options.num_classes.value_or(classes),
                                                              .pad_shortcut = options.shortcut == "A",
                                                              .zero_gamma = options.zero_init_last_gamma,
                                                              .conv_init = "kaiming_normal",
                                                              .fc_init = "kaiming_normal"});
}

nn::ModulePtr resnet(const ResnetOptions& given, const Shape& input, int64_t classes) {
  const auto options = config::checked("resnet", given);
  return std::make_unique<ResNet>(image_channels(input), Plan{.blocks = options.depth == 18 ? std::vector<int64_t>{2, 2, 2, 2}
                                                                                            : std::vector<int64_t>{3, 4, 6, 3},
                                                              .width = options.width,
                                                              .classes = options.num_classes.value_or(classes),
                                                              .bottleneck = options.depth == 50,
                                                              .imagenet_stem = options.stem == "imagenet",
                                                              .zero_gamma = options.zero_init_last_gamma,
                                                              .conv_init = "kaiming_normal_fan_out",
                                                              .fc_init = "pytorch"});
}

}  // namespace az::models
