#pragma once

#include "core/config/options.h"
#include "nn/init.h"
#include "nn/module.h"

namespace az::nn {

struct CosineLinearOptions {
  int64_t out_features = 0;
  double scale = 10;
  bool train_scale = true;
  std::string init = "pytorch";
  static void fields(auto& f) {
    f("out_features", &CosineLinearOptions::out_features, "numbers out, for each sample", config::required(),
      config::at_least(1), config::at_most(1e6));
    f("scale", &CosineLinearOptions::scale, "factor on the cosines, at the start", config::more_than(0));
    f("train_scale", &CosineLinearOptions::train_scale, "train that factor");
    f("init", &CosineLinearOptions::init, "how the weight starts", init::one_of_names());
  }
};

// [n,in] -> scale cos(x, weight_i) [n,out], with x / max(||x||, 1e-12) as torch.nn.functional.normalize; weight [out,in], scale
// [1]. Each row of the weight is scale-invariant. Zeros have the cosine 0 and no gradient. Wang et al., "NormFace", 2017;
// Gidaris and Komodakis, 2018.
class CosineLinear : public Layer<CosineLinear> {
 public:
  // Throws where a row of the weight starts as zeros.
  CosineLinear(int64_t in_features, const CosineLinearOptions& given);
  std::string describe() const override;
  int64_t multiply_adds(const Shape& input, const Shape& output) const override;

 protected:
  Tensor forward(const Tensor& x) override;

 private:
  bool train_scale_;
};

}  // namespace az::nn
