#include "nn/layers/pooling.h"

#include <fmt/format.h>

#include "core/ops/pool.h"

namespace az::nn {

namespace {

Pool2dParams params(const Pool2dOptions& o) {
  return {.kernel = o.kernel, .stride = o.stride.value_or(o.kernel), .padding = o.padding};
}

std::string text(const char* name, const Pool2dOptions& o) {
  return fmt::format("{}(kernel {}, stride {}, padding {})", name, o.kernel, o.stride.value_or(o.kernel), o.padding);
}

}  // namespace

Tensor MaxPool2d::forward(const Tensor& x) { return max_pool2d(x, params(options_)); }
Tensor AvgPool2d::forward(const Tensor& x) { return avg_pool2d(x, params(options_)); }
Tensor GlobalAvgPool::forward(const Tensor& x) { return global_avg_pool(x); }

std::string MaxPool2d::describe() const { return text("MaxPool2d", options_); }
std::string AvgPool2d::describe() const { return text("AvgPool2d", options_); }

}  // namespace az::nn
