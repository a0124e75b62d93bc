#pragma once

#include "core/config/options.h"
#include "nn/init.h"
#include "nn/module.h"

namespace az::nn {

struct LinearOptions {
  int64_t out_features = 0;
  bool bias = true;
  std::string init = "pytorch";
  static void fields(auto& f) {
    f("out_features", &LinearOptions::out_features, "numbers out, for each sample", config::required(), config::at_least(1),
      config::at_most(1e6));
    f("bias", &LinearOptions::bias, "add a number to each output");
    f("init", &LinearOptions::init, "how the weight starts", init::one_of_names());
  }
};

// [n,in] -> x weight^T + bias [n,out]; weight [out,in], bias [out].
class Linear : public Layer<Linear> {
 public:
  Linear(int64_t in_features, const LinearOptions& given);
  std::string describe() const override;
  int64_t multiply_adds(const Shape& input, const Shape& output) const override;

 protected:
  Tensor forward(const Tensor& x) override;
};

}  // namespace az::nn
