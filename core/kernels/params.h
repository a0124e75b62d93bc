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

struct Pool2dParams {
  Size2 kernel = 2, stride = 2, padding = 0;
};

}  // namespace az
