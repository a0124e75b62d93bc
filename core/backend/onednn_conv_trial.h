#pragma once

#include "core/backend/onednn_conv_choice.h"

namespace az::onednn {

// A convolution problem with operands of our own, whose result is known. Weights, and one image of the input, of the residual and
// of the gradient, are +1 and -1 at random; image n is that image times 1 + n % 3. So f64 has all results from those of one
// image, every sum is a whole number that f32 holds, and a term that is missing, strange or of another image changes it by 1 or
// more. The user's data would do for none of this.
class ConvTrial {
 public:
  explicit ConvTrial(const ConvProblem& problem);

  // The operands, made when asked for: those of activations are large. Bias and residual are undefined where there is none.
  Tensor x() const { return images(x_); }
  Tensor g() const { return images(g_); }
  Tensor residual() const { return residual_.defined() ? images(residual_) : Tensor(); }
  Tensor weight() const { return weight_.to(DType::f32); }
  Tensor bias() const { return bias_.defined() ? bias_.to(DType::f32) : Tensor(); }

  // Whether that is right but for the rounding that `implementation` is due.
  bool is_right(const std::string& implementation, const Tensor& y) const;
  bool is_right_gradient(const std::string& implementation, const Tensor& dx) const;
  bool is_right_gradient(const std::string& implementation, const ConvWeightGradients& d) const;

 private:
  Tensor images(const Tensor& one) const;

  Conv2dParams params_;
  DType type_;
  int64_t count_;  // of images
  bool relu_;
  Tensor x_, g_, weight_, bias_, residual_;  // f64; x_, g_ and residual_ of one image
};

}  // namespace az::onednn
