#pragma once

#include <string>

#include "nn/module.h"

namespace az::experiments {

// "in layer1.0.conv1.weight": the first parameter with a number that is not finite, or "".
std::string first_bad_parameter(const nn::Module& model);
// Where the first number that is not finite appears, in words: a parameter, the images, or the first layer of a forward pass on
// them ("in the output of layer1.0.bn1 (BatchNorm2d(16))"); "the loss itself" when there is none.
std::string first_bad_layer(nn::Module& model, const Tensor& images);

}  // namespace az::experiments
