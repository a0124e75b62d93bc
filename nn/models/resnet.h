#pragma once

#include <optional>
#include <string>

#include "core/config/options.h"
#include "nn/module.h"

namespace az::models {

// The ResNets of He et al. 2015 (arXiv:1512.03385), section 4.2, with 6n+2 layers in stages of width, 2 width and 4 width.
struct CifarResnetOptions {
  int64_t depth = 20;
  std::string shortcut = "A";
  int64_t width = 16;
  std::optional<int64_t> num_classes = {};
  bool zero_init_last_gamma = false;
  static void fields(auto& f) {
    f("depth", &CifarResnetOptions::depth, "layers with weights", config::one_of({20, 32, 44, 56, 110}));
    f("shortcut", &CifarResnetOptions::shortcut, "where the shape changes: A subsamples and pads with zeros, B convolves",
      config::one_of({"A", "B"}));
    f("width", &CifarResnetOptions::width, "channels of the first stage", config::at_least(1), config::at_most(1e6));
    f("num_classes", &CifarResnetOptions::num_classes, "numbers out; null: as many as the data has classes",
      config::at_least(1), config::at_most(1e6));
    f("zero_init_last_gamma", &CifarResnetOptions::zero_init_last_gamma, "start each block as its shortcut");
  }
};
// Weights start as in akamaster/pytorch_resnet_cifar10: Kaiming normal, fan_in, convolutions and fc alike.
nn::ModulePtr cifar_resnet(const CifarResnetOptions& options = {}, const Shape& input = {1, 3, 32, 32}, int64_t classes = 10);

// The ResNets of section 4.1, as torchvision has them, for small images too.
struct ResnetOptions {
  int64_t depth = 18;
  std::string stem = "cifar";
  int64_t width = 64;
  std::optional<int64_t> num_classes = {};
  bool zero_init_last_gamma = false;
  static void fields(auto& f) {
    f("depth", &ResnetOptions::depth, "layers with weights", config::one_of({18, 34, 50}));
    f("stem", &ResnetOptions::stem, "cifar: 3x3 convolution; imagenet: 7x7, stride 2, and max pooling",
      config::one_of({"cifar", "imagenet"}));
    f("width", &ResnetOptions::width, "channels of the first stage", config::at_least(1), config::at_most(1e6));
    f("num_classes", &ResnetOptions::num_classes, "numbers out; null: as many as the data has classes", config::at_least(1),
      config::at_most(1e6));
    f("zero_init_last_gamma", &ResnetOptions::zero_init_last_gamma, "start each block as its shortcut");
  }
};
// Weights start as in torchvision: Kaiming normal, fan_out, for convolutions; PyTorch's default for fc.
nn::ModulePtr resnet(const ResnetOptions& options = {}, const Shape& input = {1, 3, 32, 32}, int64_t classes = 10);

}  // namespace az::models
