#pragma once

#include "core/backend/operands.h"
#include "core/kernels/params.h"

namespace az {

struct ConvWeightGradients {
  Tensor weight, bias;  // bias undefined unless asked for
};
struct BatchNormResult {
  Tensor y, mean, var;  // the statistics it went by: the batch's, f64 [c] (var biased), or those given
};
// What the gradient of a batch norm is made of.
struct BatchNormForward {
  const Tensor& x;
  NormTensors norm;  // mean and var: the statistics it went by
  BatchNormParams params;
  bool with_residual, relu;
  const Tensor& y;  // the result, where both were
};
struct BatchNormGradients {
  Tensor x, gamma, beta, residual;  // residual undefined where there was none
};
// All of a tensor but its elements.
struct TensorForm {
  Shape shape;
  DType dtype = DType::f32;
  const Layout* layout = nullptr;
  explicit TensorForm(const Tensor& x) : shape(x.shape()), dtype(x.dtype()), layout(x.layout()) {}
};
enum class Pool { max, average };
struct PoolResult {
  Tensor y, indices;  // indices: of max pooling; its form is the back end's own
};

// The kernels that have a faster form than a composition of ops. Tensors in any layout; results lie in the layout the back end
// likes best. Nothing here is recorded for autograd or checks shapes: the ops do that. With x in bf16 the weights, statistics
// and their gradients are f32.
class Backend {
 public:
  virtual ~Backend() = default;

  // scale * (conv2d without bias) + bias, then what is to follow; scale [o], of the weight's number type, or undefined for 1.
  virtual Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& scale,
                        const Conv2dParams& params, const Then& then, const Shape& result) = 0;
  virtual Tensor conv2d_backward_data(const Tensor& g, const Tensor& weight, const Conv2dParams& params, const Shape& x) = 0;
  virtual ConvWeightGradients conv2d_backward_weights(const Tensor& g, const Tensor& x, const Shape& weight, bool with_bias,
                                                      const Conv2dParams& params) = 0;

  // x [n,c,h,w], gamma and beta defined: (x - mean) / sqrt(var + eps) * gamma + beta, then what is to follow. Takes the
  // statistics over the batch in training, leaving the running ones as they are, and goes by those given otherwise.
  virtual BatchNormResult batch_norm(const Tensor& x, const NormTensors& norm, const BatchNormParams& params,
                                     const Then& then) = 0;
  // The gradient of y is g, or g + more where that is defined; their memory is written over where nobody else holds it.
  virtual BatchNormGradients batch_norm_backward(const Tensor& g, const Tensor& more, const BatchNormForward& forward) = 0;

  virtual PoolResult pool2d(Pool kind, const Tensor& x, const Pool2dParams& params, const Shape& result) = 0;
  virtual Tensor pool2d_backward(Pool kind, const Tensor& g, const PoolResult& forward, const TensorForm& x,
                                 const Pool2dParams& params) = 0;
};

// Native for f32 and bf16, Reference for f64; throws, naming `op`, for other number types and for bf16 where the
// processor has none.
Backend& backend_for(DType type, const char* op);

}  // namespace az
