#pragma once

#include "core/config/options.h"
#include "nn/data_init.h"

namespace az::nn {

struct WhiteningOptions {
  int64_t kernel = 2;
  double eps = 5e-4;
  bool train_bias = true;
  static void fields(auto& f) {
    f("kernel", &WhiteningOptions::kernel, "side of the patches", config::at_least(1), config::at_most(10000));
    f("eps", &WhiteningOptions::eps, "added to each eigenvalue, for patches that hardly vary", config::more_than(0));
    f("train_bias", &WhiteningOptions::train_bias, "train the bias on from the value that centres the patches");
  }
};

// [n,c,h,w] -> [n,2d,h - kernel + 1,w - kernel + 1], d = c kernel^2: each patch p in the basis of the eigenvectors v of the
// covariance of training patches, v (p - mean) / sqrt(eigenvalue + eps), largest eigenvalue first, and all of it again with the
// other sign. The weight is a buffer; before initialize_from() it takes patches to be white already.
// Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024, section 3.2, after Page, "How to train your ResNet", part 8.
class Whitening : public Layer<Whitening>, public DataInit {
 public:
  Whitening(int64_t in_channels, const WhiteningOptions& options = {});
  void initialize_from(const Tensor& x) override;
  std::string describe() const override;
  int64_t multiply_adds(const Shape& input, const Shape& output) const override;

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  Tensor bias() const { return options_.train_bias ? parameter("bias") : buffer("bias"); }
  // The unit vectors, a row each, scaled by 1 / sqrt(variance + eps), and their opposites; the bias takes them to 0 at `mean`.
  void set(const std::vector<double>& vectors, const std::vector<double>& variances, const std::vector<double>& mean);

  WhiteningOptions options_;
};

}  // namespace az::nn
