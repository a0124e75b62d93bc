#pragma once

#include <optional>

#include "core/config/options.h"
#include "nn/module.h"

namespace az::nn {

struct Pool2dOptions {
  int64_t kernel = 2;
  std::optional<int64_t> stride = {};
  int64_t padding = 0;
  static void fields(auto& f) {
    f("kernel", &Pool2dOptions::kernel, "side of the window", config::at_least(1), config::at_most(10000));
    f("stride", &Pool2dOptions::stride, "pixels from one window to the next; null: the window's side", config::at_least(1),
      config::at_most(10000));
    f("padding", &Pool2dOptions::padding, "rows and columns added on each side", config::at_least(0), config::at_most(10000));
  }
};

// [n,c,h,w] -> [n,c,h',w'], the largest of each window.
class MaxPool2d : public Layer<MaxPool2d> {
 public:
  explicit MaxPool2d(const Pool2dOptions& options = {}) : options_(config::checked("max_pool2d", options)) {}
  std::string describe() const override;

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  Pool2dOptions options_;
};

// [n,c,h,w] -> [n,c,h',w'], the mean of each window.
class AvgPool2d : public Layer<AvgPool2d> {
 public:
  explicit AvgPool2d(const Pool2dOptions& options = {}) : options_(config::checked("avg_pool2d", options)) {}
  std::string describe() const override;

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  Pool2dOptions options_;
};

// [n,c,h,w] -> [n,c], the mean of each channel.
class GlobalAvgPool : public Layer<GlobalAvgPool> {
 protected:
  Tensor forward(const Tensor& x) override;
};

}  // namespace az::nn
