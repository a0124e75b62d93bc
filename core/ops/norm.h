#pragma once

#include "core/tensor/tensor.h"

// gamma and beta scale and shift per channel, [c]; undefined: 1 and 0. With x and the result bf16, they and the statistics are
// f32.
namespace az {

struct BatchNormOptions {
  bool training = true;   // statistics of the batch (and the running ones updated), or the running ones
  double momentum = 0.1;  // running = (1 - momentum) running + momentum batch; the running variance takes the unbiased one
  double eps = 1e-5;
};
// x [n,c] or [n,c,h,w]; (x - mean_c) / sqrt(var_c + eps) * gamma_c + beta_c. running_mean and running_var [c] are changed in
// place.
Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                  const Tensor& running_var, const BatchNormOptions& options);
// relu(batch_norm(x)), in one pass.
Tensor batch_norm_relu(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                       const Tensor& running_var, const BatchNormOptions& options);
// relu(batch_norm(x) + residual), in one pass; residual of x's shape.
Tensor batch_norm_add_relu(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                           const Tensor& running_var, const Tensor& residual, const BatchNormOptions& options);
// What batch_norm goes by in evaluation, as conv2d_norm() takes it: [c] each, gamma and beta possibly undefined.
struct RunningNorm {
  Tensor gamma, beta, mean, var;
  double eps = 1e-5;
};

struct GroupNormOptions {
  int64_t groups = 32;
  double eps = 1e-5;
};
Tensor group_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const GroupNormOptions& options);  // x [n,c,...]
// Over the last gamma.rank() axes (one when gamma and beta are undefined): x [..,d], gamma and beta [d].
Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps = 1e-5);

}  // namespace az
