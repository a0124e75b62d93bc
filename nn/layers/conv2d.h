#pragma once

#include "core/config/options.h"
#include "core/ops/conv.h"
#include "nn/init.h"
#include "nn/layers/batch_norm.h"
#include "nn/module.h"

namespace az::nn {

struct Conv2dOptions {
  int64_t out_channels = 0, kernel = 3, stride = 1, padding = 0, dilation = 1, groups = 1;
  bool bias = true;
  std::string init = "pytorch";
  static void fields(auto& f) {
    f("out_channels", &Conv2dOptions::out_channels, "channels of the result", config::required(), config::at_least(1),
      config::at_most(1e6));
    f("kernel", &Conv2dOptions::kernel, "side of the window", config::at_least(1), config::at_most(10000));
    f("stride", &Conv2dOptions::stride, "pixels from one window to the next", config::at_least(1), config::at_most(10000));
    f("padding", &Conv2dOptions::padding, "rows and columns of zeros on each side", config::at_least(0),
      config::at_most(10000));
    f("dilation", &Conv2dOptions::dilation, "pixels from one element of the window to the next", config::at_least(1),
      config::at_most(10000));
    f("groups", &Conv2dOptions::groups, "groups of channels, convolved apart", config::at_least(1));
    f("bias", &Conv2dOptions::bias, "add a number to each channel");
    f("init", &Conv2dOptions::init, "how the weight starts", init::one_of_names());
  }
};

// [n,in,h,w] -> [n,out,h',w'] by conv2d(); weight [out,in/groups,kernel,kernel], bias [out] as PyTorch's.
class Conv2d : public Layer<Conv2d> {
 public:
  Conv2d(int64_t in_channels, const Conv2dOptions& options);
  // norm of the result, and what is to follow it, as BatchNorm::then() has it: one convolution where is_one_pass() says so.
  Pass then_norm(const Tensor& x, BatchNorm2d& norm, const Then& then, const Module* also = nullptr);
  std::string describe() const override;
  int64_t multiply_adds(const Shape& input, const Shape& output) const override;

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  Conv2dParams params() const;

  int64_t in_channels_;
  Conv2dOptions options_;
};

}  // namespace az::nn
