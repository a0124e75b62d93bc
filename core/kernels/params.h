#pragma once

#include <cstdint>

namespace az {

// Height and width; one number stands for both.
struct Size2 {
  int64_t h, w;
  Size2(int64_t both) : h(both), w(both) {}
  Size2(int64_t height, int64_t width) : h(height), w(width) {}
};

struct Conv2dParams {
  Size2 stride = 1, padding = 0, dilation = 1;
  int64_t groups = 1;
};

struct BatchNormParams {
  bool training = true;   // by the statistics of the batch (and the running ones updated), or by the running ones
  double momentum = 0.1;  // running = (1 - momentum) running + momentum batch; the running variance takes the unbiased one
  double eps = 1e-5;      // added to the variance
};

struct GroupNormParams {
  int64_t groups = 32;
  double eps = 1e-5;  // added to the variance
};

struct Pool2dParams {
  Size2 kernel = 2, stride = 2, padding = 0;
};

}  // namespace az
