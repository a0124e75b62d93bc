#pragma once

#include "nn/module.h"

namespace az::nn {

// [n,c,h,w] -> [n,c*h*w]
class Flatten : public Layer<Flatten> {
 protected:
  Tensor forward(const Tensor& x) override;
};

}  // namespace az::nn
