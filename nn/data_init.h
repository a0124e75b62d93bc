#pragma once

#include <functional>

#include "nn/module.h"

namespace az::nn {

// A layer whose start depends on what it will see; a second base beside Layer<Self>. What it takes from the data belongs into
// parameters and buffers, so that copies and files carry it and nothing but a new training needs the data.
class DataInit {
 public:
  virtual ~DataInit() = default;
  // x: this layer's input for some training images, those before it being initialised already.
  virtual void initialize_from(const Tensor& x) = 0;
};

// Runs training images [n,c,h,w] through the network once, in evaluation mode and without gradients, for each DataInit in it to
// take its start. `images` is asked for them only where there is one.
void initialize_from_data(Module& network, const std::function<Tensor()>& images);

}  // namespace az::nn
